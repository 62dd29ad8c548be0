#pragma once
// Prepares batches in a thread, ahead of their use. What a batch holds is a function of its number
// alone: the thread, its depth and its timing change nothing.
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/data/samples.h"

namespace birkhoff {

using FillBatch = std::function<void(int64_t number, Batch& batch)>;

// The batches of training: a step has global_batch samples in ⌈global_batch / micro_batch⌉
// micro-batches, the last of which may end in rows of padding. A rank reads the micro-batches
// [begin, end) of each step: its batch number n is micro-batch begin + n mod (end − begin) of step
// s = n / (end − begin), counted from here, whose first sample is first_sample + s·global_batch.
struct BatchOrder {
  int64_t global_batch = 1, micro_batch = 1;  // sequences
  int64_t begin = 0, end = 1;                 // the rank's micro-batches
  int64_t first_sample = 0;                   // samples consumed before

  static int64_t micro_batches(int64_t global_batch, int64_t micro_batch) {
    return (global_batch + micro_batch - 1) / micro_batch;
  }
  void read(const Samples& samples, int64_t number, Batch& batch) const;
};

class Loader {
 public:
  // Calls fill(first), fill(first + 1), … in a thread, at most `depth` ≥ 1 batches ahead of the one
  // that the caller holds.
  Loader(FillBatch fill, int64_t first, int depth);
  ~Loader();  // stops the thread after the batch it is making
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The next batch, valid until the next call. Rethrows what fill threw, at the batch where it
  // did and at every call from there. One caller at a time.
  const Batch& next();

 private:
  void serve();

  FillBatch fill_;
  int64_t first_;
  std::vector<Batch> ring_;  // depth batches made ahead, and the one that the caller holds
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t made_ = 0, given_ = 0;  // batches since the start
  bool stop_ = false;
  std::exception_ptr error_;  // for batch made_
  std::thread thread_;
};

}  // namespace birkhoff
