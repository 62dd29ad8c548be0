#pragma once
// Attention with a cache of keys and values, for generating text; no gradients.
//
// A cache has room for S tokens; `length` i32 [1] is how many it holds before this step. The T new
// tokens take rows length … length + T − 1 of the cache. The cpu bodies throw InternalError if
// length < 0 or length + T > S. All tensors except `length` are of storage type
// (kernels/storage.h).
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

//   o[t] = softmax_j(scale·q[t]·k_cache[j])·v_cache[j],   j from 0 to length + t, per head
//   q [T, heads·D], k_cache [S, heads·D], v_cache [S, heads·Dv], length i32 [1] → o [T, heads·Dv]
// As in attention, o is rounded once. REQUIRES that the new tokens' keys and values are already in
// the cache. Cache rows after theirs are not read. Flops and bytes are counted for a full cache,
// because `length` is data.
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
