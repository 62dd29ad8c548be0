#pragma once
// The bodies of every operator, by device. Only table entries (kernels/<op>.cpp) include this.
#include "kernels/operator.h"

#define BIRKHOFF_BODY(op)         \
  namespace birkhoff::cpu {       \
  void op(const Args& args);      \
  }                               \
  namespace birkhoff::reference { \
  void op(const Args& args);      \
  }

BIRKHOFF_BODY(embedding)
BIRKHOFF_BODY(embedding_backward)
BIRKHOFF_BODY(grouped_linear)
BIRKHOFF_BODY(grouped_linear_dx)
BIRKHOFF_BODY(grouped_linear_dw)
BIRKHOFF_BODY(linear)
BIRKHOFF_BODY(linear_dx)
BIRKHOFF_BODY(linear_dw)
BIRKHOFF_BODY(linear_cross_entropy)
BIRKHOFF_BODY(linear_cross_entropy_backward)
BIRKHOFF_BODY(rms_norm)
BIRKHOFF_BODY(rms_norm_backward)

#undef BIRKHOFF_BODY
