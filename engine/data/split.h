#pragma once
// Decides which documents are trained on and which are held out: a function of (seed, lengths of
// the documents, fraction). A document is entirely on one side. Immutable, so thread-safe.
#include <cstdint>
#include <vector>

#include "engine/data/token_dataset.h"

namespace birkhoff {

// Some documents of a dataset, in its order, seen as one sequence of tokens. Empty documents are
// left out.
struct Documents {
  std::vector<int64_t> ids;        // index of each in the dataset, ascending
  std::vector<int64_t> begins{0};  // [ids + 1]: where each begins in the sequence; last: tokens

  int64_t tokens() const { return begins.back(); }
};

struct Split {
  Documents train, validation;
};

// Holds out about `fraction` of the tokens: visits the documents in an order drawn from the seed
// and takes each that brings the sum nearer to the target; the shortest, if none does. At least one
// document stays on each side, except that nothing is held out at fraction 0. Throws DataError if
// there are fewer than two documents to divide. REQUIRES 0 ≤ fraction < 1.
Split split_documents(const TokenDataset& dataset, double fraction, uint64_t seed);

}  // namespace birkhoff
