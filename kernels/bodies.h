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
BIRKHOFF_BODY(copy_streams)
BIRKHOFF_BODY(sum_streams)
BIRKHOFF_BODY(mhc_open)
BIRKHOFF_BODY(mhc_open_backward)
BIRKHOFF_BODY(mhc_close)
BIRKHOFF_BODY(mhc_close_backward)
BIRKHOFF_BODY(readout)
BIRKHOFF_BODY(readout_backward)

#undef BIRKHOFF_BODY
