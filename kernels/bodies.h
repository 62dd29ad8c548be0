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

BIRKHOFF_BODY(adamw)
BIRKHOFF_BODY(attention)
BIRKHOFF_BODY(attention_backward)
BIRKHOFF_BODY(attention_decode)
BIRKHOFF_BODY(balance_update)
BIRKHOFF_BODY(broadcast_scale)
BIRKHOFF_BODY(cache_write)
BIRKHOFF_BODY(clip_scale)
BIRKHOFF_BODY(combine)
BIRKHOFF_BODY(combine_backward)
BIRKHOFF_BODY(concat)
BIRKHOFF_BODY(copy_streams)
BIRKHOFF_BODY(dispatch)
BIRKHOFF_BODY(dispatch_backward)
BIRKHOFF_BODY(embedding)
BIRKHOFF_BODY(embedding_backward)
BIRKHOFF_BODY(grouped_linear)
BIRKHOFF_BODY(grouped_linear_dw)
BIRKHOFF_BODY(grouped_linear_dx)
BIRKHOFF_BODY(hc_open)
BIRKHOFF_BODY(hc_open_backward)
BIRKHOFF_BODY(identity)
BIRKHOFF_BODY(linear)
BIRKHOFF_BODY(linear_cross_entropy)
BIRKHOFF_BODY(linear_cross_entropy_loss)
BIRKHOFF_BODY(linear_dw)
BIRKHOFF_BODY(linear_dx)
BIRKHOFF_BODY(mean_streams)
BIRKHOFF_BODY(mhc_close)
BIRKHOFF_BODY(mhc_close_backward)
BIRKHOFF_BODY(mhc_open)
BIRKHOFF_BODY(mhc_open_backward)
BIRKHOFF_BODY(mla_keys)
BIRKHOFF_BODY(mla_keys_backward)
BIRKHOFF_BODY(readout)
BIRKHOFF_BODY(readout_backward)
BIRKHOFF_BODY(rms_norm)
BIRKHOFF_BODY(rms_norm_backward)
BIRKHOFF_BODY(rope)
BIRKHOFF_BODY(route)
BIRKHOFF_BODY(route_backward)
BIRKHOFF_BODY(route_layout)
BIRKHOFF_BODY(split)
BIRKHOFF_BODY(spread_streams)
BIRKHOFF_BODY(squared_sum)
BIRKHOFF_BODY(stream_statistics)
BIRKHOFF_BODY(sum_streams)
BIRKHOFF_BODY(swiglu)
BIRKHOFF_BODY(swiglu_backward)
BIRKHOFF_BODY(weighted_sum)

#undef BIRKHOFF_BODY
