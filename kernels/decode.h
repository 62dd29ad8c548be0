#pragma once
// Attention with a cache of keys and values, for generating text; no gradients.
//
// A cache has room for S tokens; `length` i32 [1] counts those in it before this step. The T new
// tokens take its rows length … length + T − 1. The cpu bodies throw InternalError where
// length < 0 or length + T > S. All but `length` are of storage type (kernels/storage.h).
#include "kernels/operator.h"

namespace birkhoff {

//   cache[length + t] = rows[t]      rows [T, W], length i32 [1] → cache [S, W]
// An update in place: the other rows of the cache are neither read nor written.
struct CacheWrite {
  enum In { rows, length };
  enum Out { cache };
  struct Desc {
    int64_t capacity = 0;  // S
    static void visit(auto& d, auto&& field) { field("capacity", d.capacity); }
  };
};
extern const Operator kCacheWrite;

//   o[t] = softmax_j(scale·q[t]·k_cache[j])·v_cache[j],   j from 0 to length + t, each head alone
//   q [T, heads·D], k_cache [S, heads·D], v_cache [S, heads·Dv], length i32 [1] → o [T, heads·Dv]
// o is rounded once, as that of attention. REQUIRES that the new tokens' keys and values are in the
// cache already. Rows behind them are not read. Flops and bytes are those of a full cache: `length`
// is data.
struct AttentionDecode {
  enum In { q, k_cache, v_cache, length };
  enum Out { o };
  struct Desc {
    int64_t heads = 1;
    double scale = 1;
    static void visit(auto& d, auto&& field) { field("heads", d.heads), field("scale", d.scale); }
  };
};
extern const Operator kAttentionDecode;

}  // namespace birkhoff
