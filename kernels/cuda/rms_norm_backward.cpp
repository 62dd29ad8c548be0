// How the backward of RMSNorm is cut, and what it refuses: the host's half.
#include "kernels/cuda/rms_norm_backward.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff::cuda {
namespace {

constexpr int64_t kThreads = 256, kPack = 8, kMostPacks = 4;
// Four blocks for each of 132 multiprocessors, before a block takes more rows. From 16 rows on its
// partial dgain, 8 bytes a channel there and back, is no more than a twelfth of what they move.
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
