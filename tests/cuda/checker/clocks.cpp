#include "tests/cuda/checker/clocks.h"

#include <algorithm>
#include <bit>

namespace birkhoff::emulator {

void Clocks::begin(unsigned threads) {
  threads_ = threads, columns_ = threads + Mbarriers::kMost, width_ = 2 * columns_;
  fences_ = false;
  now_.assign(threads, 1);
  seen_.assign(size_t(threads) * width_, 0);
}

// Adds what a thread has seen, and its own clock, to `to`.
void Clocks::join(Seen& to, unsigned thread) const {
  if (to.size() < joined()) to.resize(joined());
  const uint32_t* const row = &seen_[size_t(thread) * width_];
  for (unsigned c = 0; c < joined(); ++c) to[c] = std::max(to[c], row[c]);
  to[thread] = std::max(to[thread], now_[thread]);
}

// Each thread gets what any of them has seen, and the clock of each.
void Clocks::meet(unsigned first, uint32_t mask) {
  Seen all;
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    join(all, first + unsigned(std::countr_zero(rest)));
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const unsigned t = first + unsigned(std::countr_zero(rest));
    std::copy(all.begin(), all.end(), seen_.begin() + long(size_t(t) * width_));
    ++now_[t];
  }
}

void Clocks::barrier(unsigned first, unsigned end) {
  Seen all;
  for (unsigned t = first; t < end; ++t) join(all, t);
  for (unsigned t = first; t < end; ++t) {
    std::copy(all.begin(), all.end(), seen_.begin() + long(size_t(t) * width_));
    ++now_[t];
  }
}

void Clocks::fence(unsigned thread) {
  fences_ = true;
  uint32_t* const row = &seen_[size_t(thread) * width_];
  for (unsigned c = 0; c < columns_; ++c) row[columns_ + c] = std::max(row[columns_ + c], row[c]);
  row[columns_ + thread] = now_[thread]++;
}

void Clocks::add(Seen& to, const Seen& from) {
  to.resize(std::max(to.size(), from.size()));
  for (size_t c = 0; c < from.size(); ++c) to[c] = std::max(to[c], from[c]);
}

void Clocks::release(unsigned thread, Seen& to) {
  join(to, thread);
  ++now_[thread];
}

void Clocks::acquire(unsigned thread, const Seen& from) {
  uint32_t* const row = &seen_[size_t(thread) * width_];
  for (unsigned c = 0; c < from.size(); ++c) row[c] = std::max(row[c], from[c]);
}

}  // namespace birkhoff::emulator
