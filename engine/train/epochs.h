#pragma once
// Epochs, passes over the training data, for the people who read a run's log. Pure.
#include <cstdint>
#include <string>

namespace birkhoff {

struct Epochs {
  int64_t windows = 0;  // of training data; 0: the data does not repeat
  int64_t batch = 0;    // windows per step
  int64_t sequence = 0;

  // Passes over the data that `samples` samples make; -1 if the data does not repeat.
  double of(int64_t samples) const { return windows > 0 ? double(samples) / double(windows) : -1; }
  // How far the steps first to last take a run that has seen `samples`. "" if nothing repeats.
  std::string outlook(int64_t samples, int64_t first, int64_t last) const;
  // What to do about text that is repeated more often than helps; "" if there is none.
  std::string warning(int64_t samples, int64_t first, int64_t last) const;
};

// Why results change with the number of ranks; "" if they do not, or `before` is 0 (not known).
std::string other_bits(int64_t before, int64_t now, int64_t reduction_groups);

}  // namespace birkhoff
