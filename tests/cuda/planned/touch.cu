#include "tests/cuda/planned/touch.h"

#include "kernels/cuda/device/device.h"

namespace birkhoff::testing {
namespace {

using namespace cuda;

__global__ void touch_words(Touch touch) {
  const int lane = int(thread());
  uint32_t sum = 0;
  for (int r = 0; r < touch.reads; ++r)
    for (int i = lane; i < touch.read[r].count; i += int(kWarp)) sum += load(touch.read[r].at + i);
  for (unsigned bit = 1; bit < kWarp; bit *= 2) sum += shuffle_xor(kFullMask, sum, bit);
  sync_block();  // the words read and written may be the same
  for (int w = 0; w < touch.writes; ++w) {
    for (int i = lane; i < touch.written[w].count; i += int(kWarp))
      store(touch.written[w].at + i, 31 * sum + touch.number + uint32_t(i));
    sync_block();  // one result may lie inside another
  }
}

}  // namespace

void run_touch(const Touch& touch, cudaStream_t stream) {
  launch("touch_words", touch_words, {.grid = {1}, .block = {kWarp}, .stream = stream}, touch);
}

}  // namespace birkhoff::testing
