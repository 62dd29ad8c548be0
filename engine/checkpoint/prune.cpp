// The pruning side of checkpoint.h.
#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"

namespace birkhoff {
namespace {

// Out of the way by one rename first: a half removed directory must not look like a checkpoint.
void remove_checkpoint(const Path& path) {
  const Manifest manifest = Checkpoint::open(path).manifest();
  const Path aside = path.parent_path() / ("." + path.filename().string() + ".pruned");
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (error)
    throw ResourceError(
        fmt::format("cannot prune {}: {}", printable(path.string()), error.message()));
  for (const ShardFile& file : manifest.files) std::filesystem::remove(aside / file.name, error);
  std::filesystem::remove(aside / kManifestName, error);
  std::filesystem::remove(aside, error);  // fails where somebody put other files: they stay
  flush_directory(path.parent_path());
}

}  // namespace

void prune_checkpoints(const Path& run_directory, int64_t keep) {
  check(keep >= 2, "pruning to {} checkpoints: the newest two always stay", keep);
  const std::vector<Path> valid = find_checkpoints(run_directory).valid;
  for (size_t i = size_t(keep); i < valid.size(); ++i) remove_checkpoint(valid[i]);
}

}  // namespace birkhoff
