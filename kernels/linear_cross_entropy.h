#pragma once
// Cross entropy of a linear head, without the logits in memory.
//
//   l = h·wᵀ  [T, V]      lse[t] = log Σ_v exp(l[t, v])
//   nll[t] = lse[t] − l[t, target[t]],   0 where target[t] is −1: not counted
//   h [T, C], w [V, C], target i32 [T] → nll [T], lse [T]
//
// h of storage type, the rest wide; w is read as h is stored, and so is dl below
// (kernels/storage.h). lse is saved for the backward, and
// is set for rows that are not counted too. The largest logit is taken out of each sum, so logits
// may be of any size that f32 holds; one that is NaN or +∞ makes its row's lse and nll NaN.
//
// Logits exist a chunk of rows and of the vocabulary at a time, in cache; what of a row's logits is
// kept between chunks of the vocabulary is the running maximum and sum (Milakov and Gimelshein,
// arXiv 1805.02867). A row's results are a function of the row, w and its target, bit for bit.
// Throws DataError with position and id for a target that is neither −1 nor below V.
#include <algorithm>

#include "kernels/operator.h"

namespace birkhoff {

struct LinearCrossEntropy {
  enum In { h, w, target };
  enum Out { nll, lse };
};
extern const Operator kLinearCrossEntropy;

// dl[t, v] = dnll[t]·(exp(l[t, v] − lse[t]) − [v = target[t]]),   dh = dl·w,   dw = dlᵀ·h
// {dnll [T], h, w, target, lse} → {dh [T, C], dw [V, C]}: one pass, logits made again chunk by
// chunk. Where target[t] is −1 or dnll[t] is 0, dl[t] is 0 whatever the row's logits are, and a row
// with finite h adds exactly nothing. A bf16 dh is summed over the vocabulary in f32 and rounded
// once.
struct LinearCrossEntropyBackward {
  enum In { dnll, h, w, target, lse };
  enum Out { dh, dw };
};
extern const Operator kLinearCrossEntropyBackward;

// The same for a loss that is known to be Σ_t scale·nll[t]: nll and both gradients at once, of one
// product of logits instead of two.
//
//   h, w, target as above, scale [1] → nll [T], dh [T, C], dw [V, C]     dnll[t] = scale
//
// Its gradient rule hands dh on and looks at no dnll: REQUIRES that nll is read by a weighted_sum
// with this scale alone, and that its sum is what is differentiated. dw goes to the parameter's
// gradient in the forward list.
struct LinearCrossEntropyLoss {
  enum In { h, w, target, scale };
  enum Out { nll, dh, dw };
};
extern const Operator kLinearCrossEntropyLoss;

// How the cpu cuts it. Forward: a task is up to kRows rows and a segment of the vocabulary, whose
// maximum and sum are kept, then joined over segments in order. Backward: dl of one chunk of rows
// and vocabulary (4 MiB of bf16) is shared by the team; its rows are kPad elements further apart
// than they are wide, or eight of them would fall into one set of a cache.
struct CrossEntropyCut {
  static constexpr int64_t kRows = 256, kColumns = 384, kSegment = 8 * kColumns;
  static constexpr int64_t kBackwardRows = 1024, kBackwardColumns = 2048, kPad = 32;

  // Rows whose logits exist at once where loss and gradients are made together: 64 MiB, as far as
  // that is 128 rows, or what is added to dw would be read and written too often.
  static constexpr int64_t loss_rows(int64_t tokens, int64_t vocabulary) {
    constexpr int64_t kLogits = int64_t{16} << 20, kFewest = 128;
    const int64_t fit = std::clamp(kLogits / (vocabulary + kPad), kFewest, kBackwardRows);
    return std::min(tokens, fit / kFewest * kFewest);
  }
};

}  // namespace birkhoff
