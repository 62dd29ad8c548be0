#pragma once
// Assembles the keys and values of multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1)
// from the up-projected latent and the rotated key that all heads share.
//
//   k[t,h] = (kv[t,h] before `nope`, k_rope[t]),   v[t,h] = kv[t,h] from `nope` on
//   kv [T, heads·(nope + value)], k_rope [T, rope] → k [T, heads·(nope + rope)],
//                                                    v [T, heads·value]
//
// All of one storage type (kernels/storage.h).
#include "kernels/operator.h"

namespace birkhoff {

struct MlaKeys {
  enum In { kv, k_rope };
  enum Out { k, v };
  struct Desc {
    int64_t heads = 1;
    int64_t nope = 0, rope = 0, value = 0;  // Widths per head.
    static void visit(auto& d, auto&& field) {
      field("heads", d.heads), field("nope", d.nope), field("rope", d.rope);
      field("value", d.value);
    }
  };
};
extern const Operator kMlaKeys;

// dk, dv → dkv, dk_rope, where dk_rope is the sum over heads, in order, rounded once. dk or dv, but
// not both, may be absent and then counts as zeros, so the desc holds all widths.
struct MlaKeysBackward {
  enum In { dk, dv };
  enum Out { dkv, dk_rope };
  using Desc = MlaKeys::Desc;
};
extern const Operator kMlaKeysBackward;
inline constexpr int64_t kMlaKeysTokens = 16;  // Tokens per task.

}  // namespace birkhoff
