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

BIRKHOFF_BODY(rms_norm)
BIRKHOFF_BODY(rms_norm_backward)

#undef BIRKHOFF_BODY
