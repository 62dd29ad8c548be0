#include "engine/data/loader.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {

void BatchOrder::read(const Samples& samples, int64_t number, Batch& batch) const {
  check(global_batch >= 1 && micro_batch >= 1, "a step of {} sequences in micro-batches of {}",
        global_batch, micro_batch);
  check(begin >= 0 && begin < end && end <= micro_batches(global_batch, micro_batch),
        "micro-batches {} to {} of {}", begin, end, micro_batches(global_batch, micro_batch));
  const int64_t before = (begin + number % (end - begin)) * micro_batch;
  const int64_t first = first_sample + number / (end - begin) * global_batch + before;
  read_batch(samples, first, std::min(micro_batch, global_batch - before), micro_batch, batch);
}

Loader::Loader(FillBatch fill, int64_t first, int depth)
    : fill_(std::move(fill)), first_(first), ring_(size_t(std::max(depth, 1)) + 1) {
  thread_ = std::thread([this] { serve(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Loader::serve() {
  const auto slots = int64_t(ring_.size());
  for (int64_t number = 0;; ++number) {
    {
      std::unique_lock lock(mutex_);
      // The caller holds batch given_ − 1 until it asks for the next.
      changed_.wait(lock,
                    [&] { return stop_ || number - std::max<int64_t>(given_ - 1, 0) < slots; });
      if (stop_) return;
    }
    std::exception_ptr error;
    try {
      fill_(first_ + number, ring_[size_t(number % slots)]);
    } catch (...) {
      error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      if (error)
        error_ = error;
      else
        ++made_;
    }
    changed_.notify_all();
    if (error) return;
  }
}

const Batch& Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return made_ > given_ || error_; });
  if (made_ == given_) std::rethrow_exception(error_);
  const Batch& batch = ring_[size_t(given_ % int64_t(ring_.size()))];
  ++given_;
  lock.unlock();
  changed_.notify_all();
  return batch;
}

}  // namespace birkhoff
