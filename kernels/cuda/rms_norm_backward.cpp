// The host side of RMSNorm's backward: how a call is divided, and argument checks.
#include "kernels/cuda/rms_norm_backward.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff::cuda {
namespace {

constexpr int64_t kThreads = 256, kPack = 8, kMostPacks = 4;
// Up to four blocks for each of 132 multiprocessors; with more rows, a block takes more. With at
// least 16 rows, a block's partial dgain (8 bytes per channel, written and read) is at most a
// twelfth of what the rows move.
constexpr int64_t kBlocks = 4 * 132, kLeastRows = 16;

}  // namespace

RmsNormBackwardCut rms_norm_backward_cut(int64_t tokens, int64_t width) {
  check(width > 0 && width % kPack == 0 && width <= kThreads * kPack * kMostPacks,
        "rms_norm_backward: a width of {} is not a multiple of {}, or above {}", width, kPack,
        kThreads * kPack * kMostPacks);
  RmsNormBackwardCut cut;
  const int64_t units = width / kPack;
  cut.threads = unsigned(std::min(kThreads, (units + 31) / 32 * 32));
  cut.packs = units <= kThreads ? 1 : units <= 2 * kThreads ? 2 : 4;
  cut.rows = std::max(kLeastRows, (tokens + kBlocks - 1) / kBlocks);
  cut.blocks = unsigned((tokens + cut.rows - 1) / cut.rows);
  return cut;
}

}  // namespace birkhoff::cuda
