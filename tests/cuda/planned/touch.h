#pragma once
// A kernel that reads and writes given words, as a turn of a stream plan does
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
  uint32_t number = 0;  // of the turn
};

// Word i of what is written becomes 31·(sum of all that is read) + number + i.
void run_touch(const Touch& touch, cudaStream_t stream);

}  // namespace birkhoff::testing
