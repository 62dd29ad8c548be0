#pragma once
// Samples: sequences of tokens with their targets, as functions of an index and nothing else.
//
// The documents of one side of the split (split.h), concatenated, are cut into windows of sequence
// + 1 tokens that begin sequence tokens apart: window w holds the tokens [w·S, w·S + S]. The first
// S are inputs, and the target of each is the next token. So every token but the very first is a
// target once.
//
//   training:   count() = ⌊(T − 1) / S⌋ whole windows (the rest, < S tokens, is left out); sample i
//               is window permutation_{i / count}(i mod count): each window once per epoch, in
//               another order every epoch.
//   validation: count() = ⌈(T − 1) / S⌉ windows, in order; the last may end early: the rest of it
//               is padding.
//   random:     seeded uniform tokens, no files; every sample is its own window.
//
// Errors are DataError. Immutable, so thread-safe.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/data/split.h"

namespace birkhoff {

struct SampleOptions {
  int64_t sequence = 0;  // S ≥ 1
  int64_t vocab = 0;     // of the model: ids outside it are refused
  uint64_t seed = 0;
  bool cross_documents = true;           // tokens attend to other documents in their window
  bool predict_across_documents = true;  // the first token of a document is the target of the last
                                         // one before it
};

// B sequences of S tokens, flattened; all arrays are [B·S]. A row without a token is padding: token
// 0, target −1, position −1, and it attends only to itself. Nothing may count or average over it.
// Padding ends a sequence or fills it, so no token ever attends to it. The position says whether a
// row is padding; the target does not, since tokens may have a target that is not counted.
struct Batch {
  int64_t sequences = 0, sequence = 0;  // B, S
  std::vector<int32_t> token;
  std::vector<int32_t> target;     // −1: not counted
  std::vector<int32_t> position;   // from the window's start, whatever documents begin in it;
                                   // −1: padding
  std::vector<int32_t> first_key;  // index in the batch of the first token that this one attends
                                   // to: its sequence's first, or its document's
  int64_t valid = 0;               // targets that are counted; may be 0
  std::vector<int64_t> windows;    // [B] the window of each sequence, for the log; −1: none
  std::vector<int32_t> scratch;    // [S + 1]

  void resize(int64_t sequences, int64_t sequence);
};

class Samples {
 public:
  explicit Samples(const SampleOptions& options);
  virtual ~Samples() = default;

  const SampleOptions& options() const { return options_; }
  virtual int64_t count() const = 0;  // per epoch

  // Fills row `row` of the batch with sample `index` ≥ 0 and adds to valid.
  virtual void read(int64_t index, int64_t row, Batch& batch) const = 0;

 protected:
  SampleOptions options_;
};

// Throw DataError if the side is too short for one window (training) or one target (validation).
std::unique_ptr<Samples> training_samples(std::shared_ptr<const TokenDataset> dataset,
                                          Documents documents, const SampleOptions& options);
std::unique_ptr<Samples> validation_samples(std::shared_ptr<const TokenDataset> dataset,
                                            Documents documents, const SampleOptions& options);
// `stream` names the random stream, e.g. "train". An epoch has `count` samples; indices may go
// beyond it.
std::unique_ptr<Samples> random_samples(const char* stream, int64_t count,
                                        const SampleOptions& options);

// Fills `batch` with the samples [first, first + count), count ≤ sequences. The sequences after
// them are padding and have window −1. No allocation when the batch has been used before.
void read_batch(const Samples& samples, int64_t first, int64_t count, int64_t sequences,
                Batch& batch);

}  // namespace birkhoff
