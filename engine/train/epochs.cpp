#include "engine/train/epochs.h"

#include "base/format.h"

namespace birkhoff {
namespace {

// More passes over the same text add little (arXiv 2305.16264).
constexpr double kManyEpochs = 4;

int64_t samples_at_end(const Epochs& e, int64_t samples, int64_t first, int64_t last) {
  return samples + (last - first + 1) * e.batch;
}

}  // namespace

std::string Epochs::outlook(int64_t samples, int64_t first, int64_t last) const {
  if (windows == 0 || first > last) return "";
  return fmt::format(
      "data: {} training windows of {} tokens; steps {} to {}, of {} windows each, take the run "
      "from epoch {:.2f} to {:.2f}",
      windows, sequence, first, last, batch, of(samples),
      of(samples_at_end(*this, samples, first, last)));
}

std::string Epochs::warning(int64_t samples, int64_t first, int64_t last) const {
  const double all = of(samples_at_end(*this, samples, first, last));
  if (first > last || all <= kManyEpochs) return "";
  return fmt::format(
      "by step {} each text will have been trained on {:.1f} times; more than {:g} times add "
      "little; prepare more text, or set train.steps to at most {}",
      last, all, kManyEpochs, int64_t(kManyEpochs * double(windows) / double(batch)));
}

std::string other_bits(int64_t before, int64_t now, int64_t reduction_groups) {
  if (before == 0 || before == now || reduction_groups > 1) return "";
  return fmt::format(
      "the checkpoint is from a run on {} rank{}, but {} resume{} it: with train.reduction_groups: "
      "1, sums are rounded in a different order, so results will differ in their last bits from "
      "those of the run on {}; to make results independent of the number of ranks, set "
      "train.reduction_groups when a run starts",
      before, before == 1 ? "" : "s", now, now == 1 ? "s" : "", before);
}

}  // namespace birkhoff
