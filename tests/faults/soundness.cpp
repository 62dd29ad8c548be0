#include "tests/faults/soundness.h"

#include <algorithm>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

// The manifest, which has hashes of every byte, without the config, which names the run's
// directory.
std::string essence(Manifest manifest) {
  manifest.info.config.clear();
  return manifest_text(manifest);
}

std::vector<Path> entries_named_step(const Path& run) {
  std::vector<Path> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(run / "checkpoints", none))
    if (entry.path().filename().string().starts_with("step-")) found.push_back(entry.path());
  return found;
}

}  // namespace

Reference::Reference(const Path& run) {
  for (const Path& path : entries_named_step(run)) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    checkpoint.verify();
    manifests_[checkpoint.manifest().info.step] = essence(checkpoint.manifest());
  }
}

std::string Reference::unsound(const Path& run, const std::set<int64_t>& committed,
                               size_t keep) const {
  std::set<int64_t> whole;
  try {
    for (const Path& path : entries_named_step(run)) {
      const Checkpoint checkpoint = Checkpoint::open(path);
      checkpoint.verify();
      const int64_t step = checkpoint.manifest().info.step;
      const auto wanted = manifests_.find(step);
      if (wanted == manifests_.end() || essence(checkpoint.manifest()) != wanted->second)
        return fmt::format("the checkpoint of step {} is not that of an undisturbed run", step);
      whole.insert(step);
    }
    for (const int64_t step : committed) {
      const auto newer = size_t(std::distance(whole.upper_bound(step), whole.end()));
      if (!whole.contains(step) && newer < keep)
        return fmt::format("the committed checkpoint of step {} is lost", step);
    }
    const std::optional<Checkpoint> latest = latest_checkpoint(run);
    if (latest ? whole.empty() || latest->manifest().info.step != *whole.rbegin() : !whole.empty())
      return "the newest checkpoint is not found";
  } catch (const Error& e) {
    return fmt::format("torn: {}", e.what());
  }
  return "";
}

}  // namespace birkhoff::testing
