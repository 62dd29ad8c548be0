#pragma once
// A kernel that reads and writes given words, like a turn (one entry) of a stream plan
// (engine/plan/streams.h).
#include <cuda_runtime_api.h>

#include <cstdint>

namespace birkhoff::testing {

struct Words {
  uint32_t* at;
  int count;
};
struct Touch {
  static constexpr int kMost = 16;
  Words read[kMost] = {}, written[kMost] = {};
  int reads = 0, writes = 0;
  uint32_t number = 0;  // the turn's number
};

// Word i of each written range becomes 31·(sum of all words read) + number + i.
void run_touch(const Touch& touch, cudaStream_t stream);

}  // namespace birkhoff::testing
