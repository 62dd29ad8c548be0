#pragma once
// Cross entropy of a linear head, without ever holding all logits in memory.
//
//   l = h·wᵀ  [T, V]      nll[t] = log Σ_v exp(l[t, v]) − l[t, target[t]]
//
//   linear_cross_entropy        h [T, C], w [V, C], target i32 [T] → nll [T]      for scoring
//   linear_cross_entropy_loss   h, w, target, scale [1] → nll, dh [T, C], dw [V, C]
//                               the gradients of Σ_t scale·nll[t]:
//                               dl[t, v] = scale·(softmax(l[t])[v] − [v = target[t]])
//                               dh = dl·w,   dw = dlᵀ·h
//
// A row with target[t] = −1 is not counted: nll[t] and dl[t] are 0 whatever its logits are, and if
// its h is finite it adds exactly 0 to dw.
//
// h and dh are of storage type, the rest is wide; w and dl are rounded to the type of h as factors
// of a product (kernels/storage.h). A bf16 dh is summed over the vocabulary in f32 and rounded
// once. The largest logit is subtracted before exponentials are summed, so logits may be as large
// as f32 can hold; a logit that is NaN or +∞ makes its row's nll NaN.
//
// Logits exist for only some rows at a time. A row's nll and dh depend, bit for bit, only on the
// row, w and its target. Throws DataError with position and id for a target that is neither −1 nor
// in [0, V).
//
// linear_cross_entropy_loss computes the gradients in the forward call, and its gradient rule
// passes dh on unchanged. REQUIRES that nll is read only by a weighted_sum with the same scale and
// that its sum is what is differentiated. This way the logits are computed once; a separate
// backward call would have to recompute them, a quarter of the head's work. dw is added to the
// parameter's gradient in the forward list.
#include <algorithm>

#include "kernels/operator.h"

namespace birkhoff {

struct LinearCrossEntropy {
  enum In { h, w, target };
  enum Out { nll };
};
extern const Operator kLinearCrossEntropy;

struct LinearCrossEntropyLoss {
  enum In { h, w, target, scale };
  enum Out { nll, dh, dw };
};
extern const Operator kLinearCrossEntropyLoss;

// How the cpu body divides the work. Scoring: a task computes up to kRows rows of one segment of
// the vocabulary and keeps each row's maximum and sum, which are then combined over the segments in
// order (Milakov and Gimelshein, arXiv 1805.02867). Loss: all logits of some rows are computed,
// then dl of those rows for one chunk of the vocabulary after another (4 MiB of bf16). Rows are
// padded by kPad elements; without that, eight of them would map to the same cache set.
struct CrossEntropyCut {
  static constexpr int64_t kRows = 256, kColumns = 384, kSegment = 8 * kColumns;
  static constexpr int64_t kMostRows = 1024, kChunk = 2048, kPad = 32;

  // Number of rows whose logits exist at once: as many as fit in 64 MiB, but at least 128, because
  // with fewer rows dw would be read and written too often.
  static constexpr int64_t loss_rows(int64_t tokens, int64_t vocabulary) {
    constexpr int64_t kLogits = int64_t{16} << 20, kFewest = 128;
    const int64_t fit = std::clamp(kLogits / (vocabulary + kPad), kFewest, kMostRows);
    return std::min(tokens, fit / kFewest * kFewest);
  }
};

}  // namespace birkhoff
