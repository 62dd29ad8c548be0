#pragma once
// Cross entropy of a linear head, without the logits in memory.
//
//   l = h·wᵀ  [T, V]      nll[t] = log Σ_v exp(l[t, v]) − l[t, target[t]]
//
//   linear_cross_entropy        h [T, C], w [V, C], target i32 [T] → nll [T]      for scoring
//   linear_cross_entropy_loss   h, w, target, scale [1] → nll, dh [T, C], dw [V, C]
//                               the gradients of Σ_t scale·nll[t]:
//                               dl[t, v] = scale·(softmax(l[t])[v] − [v = target[t]])
//                               dh = dl·w,   dw = dlᵀ·h
//
// target[t] = −1: not counted. Then nll[t] and dl[t] are 0 whatever the row's logits are, and a row
// with finite h adds exactly nothing.
//
// h and dh are of storage type, the rest wide; w is read as h is stored, and so is dl
// (kernels/storage.h). A bf16 dh is summed over the vocabulary in f32 and rounded once. The largest
// logit is taken out of each sum, so logits may be of any size that f32 holds; one that is NaN or
// +∞ makes its row's nll NaN.
//
// Logits exist for some rows at a time. A row's nll and dh are a function of the row, w and its
// target, bit for bit. Throws DataError with position and id for a target that is neither −1 nor
// below V.
//
// The loss hands its gradients on as they are: REQUIRES that nll is read by a weighted_sum with
// this scale alone, and that its sum is what is differentiated. So the logits are made once, where
// a gradient rule that comes later would make them again: a quarter of the head's work. dw goes to
// the parameter's gradient in the forward list.
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

// How the cpu cuts it. Scoring: a task is up to kRows rows and a segment of the vocabulary, whose
// maximum and sum are kept, then joined over segments in order (Milakov and Gimelshein, arXiv
// 1805.02867). Loss: all logits of some rows, then dl of those rows and a chunk of the vocabulary
// (4 MiB of bf16); its rows are kPad elements further apart than they are wide, or eight of them
// would fall into one set of a cache.
struct CrossEntropyCut {
  static constexpr int64_t kRows = 256, kColumns = 384, kSegment = 8 * kColumns;
  static constexpr int64_t kMostRows = 1024, kChunk = 2048, kPad = 32;

  // Rows whose logits exist at once: 64 MiB, as far as that is 128 rows, or what is added to dw
  // would be read and written too often.
  static constexpr int64_t loss_rows(int64_t tokens, int64_t vocabulary) {
    constexpr int64_t kLogits = int64_t{16} << 20, kFewest = 128;
    const int64_t fit = std::clamp(kLogits / (vocabulary + kPad), kFewest, kMostRows);
    return std::min(tokens, fit / kFewest * kFewest);
  }
};

}  // namespace birkhoff
