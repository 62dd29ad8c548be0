// The functions of save.h that act on existing checkpoints.
#include <unistd.h>

#include "base/error.h"
#include "base/system_error.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/leftovers.h"

namespace birkhoff {
namespace {

// Renames the directory first: a half removed one must not look like a checkpoint. The rename is
// flushed before anything is removed, or a power cut could undo the rename alone.
void remove_checkpoint(const Checkpoint& checkpoint) {
  const Path& path = checkpoint.path();
  const Path aside = pruned_path(path);
  if (::rename(path.c_str(), aside.c_str()) != 0) throw_system_error("rename", path);
  flush_directory(path.parent_path());
  std::error_code error;  // ignored: what stays is left to remove_leftovers
  for (const ShardFile& file : checkpoint.manifest().files)
    std::filesystem::remove(aside / file.name, error);
  const auto& tokenizer = checkpoint.manifest().info.tokenizer;
  if (tokenizer && tokenizer->has_file()) std::filesystem::remove(aside / kTokenizerName, error);
  std::filesystem::remove(aside / kManifestName, error);
  std::filesystem::remove(aside, error);  // fails if somebody put other files there: they stay
}

void prune(const Path& run_directory, int64_t keep, const std::set<std::string>& proven) {
  int64_t opened = 0, whole = 0;  // counts of newer checkpoints
  for (const Path& path : checkpoint_candidates(run_directory)) {
    std::optional<Checkpoint> checkpoint;
    try {
      checkpoint = open_candidate(path);
    } catch (const CheckpointError&) {
      continue;  // its owner may want to look at it
    }
    if (opened >= keep && whole >= 2) remove_checkpoint(*checkpoint);
    ++opened;
    whole += proven.contains(checkpoint->manifest().hash);
  }
}

}  // namespace

void prune_checkpoints(const Path& run_directory, int64_t keep,
                       const std::set<std::string>& proven) {
  check(keep >= 2, "cannot prune to {} checkpoints: the newest two are always kept", keep);
  const auto refuse = [](const Error& e) {
    throw ResourceError(fmt::format("cannot delete the oldest checkpoints: {}", e.what()));
  };
  try {
    remove_leftovers(run_directory);
    prune(run_directory, keep, proven);
  } catch (const CheckpointError& e) {  // the run cannot be listed
    refuse(e);
  } catch (const ResourceError& e) {
    refuse(e);
  }
}

Path set_refused_aside(const Path& checkpoint) {
  const Path folder = checkpoint.parent_path();
  const std::string name = "refused-" + checkpoint.filename().string();
  Path aside = folder / name;
  // rename() would replace an empty directory.
  for (int i = 2; std::filesystem::exists(std::filesystem::symlink_status(aside)); ++i)
    aside = folder / fmt::format("{}-{}", name, i);
  if (::rename(checkpoint.c_str(), aside.c_str()) != 0) throw_system_error("rename", checkpoint);
  flush_directory(folder);
  return aside;
}

}  // namespace birkhoff
