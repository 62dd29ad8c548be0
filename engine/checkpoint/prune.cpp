// The pruning side of checkpoint.h.
#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"

namespace birkhoff {
namespace {

constexpr std::string_view kPruned = ".pruned";

// The files that the manifest lists, and the manifest only once they are gone from the disk too: it
// must be there for whoever goes on with what a killed run began. Then the directory; it stays
// where somebody put other files.
void remove_files(const Path& pruned) {
  std::error_code error;
  if (std::filesystem::exists(pruned / kManifestName, error)) {
    const std::string text = read_file(pruned / kManifestName, kMaxManifest);
    for (const ShardFile& file : parse_manifest(text, pruned.string()).files) {
      std::filesystem::remove(pruned / file.name, error);
      if (error) return;  // the next pruning goes on here
    }
    flush_directory(pruned);
    std::filesystem::remove(pruned / kManifestName, error);
  }
  std::filesystem::remove(pruned, error);
}

// What a run that was killed here left to be removed. If it cannot be, it stays: it is no
// checkpoint and in nobody's way.
void remove_leftovers(const Path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error) && !error) return;
  for (const std::string& name : Directory(folder).names()) {
    if (!name.starts_with(".step-") || !name.ends_with(kPruned)) continue;
    try {
      if (!std::filesystem::is_symlink(folder / name)) remove_files(folder / name);
    } catch (const CheckpointError&) {
    } catch (const ResourceError&) {
    }
  }
}

// Out of the way by one rename first: a half removed directory must not look like a checkpoint. The
// rename is flushed before anything is removed, or a power cut could undo it alone.
void remove_checkpoint(const Path& path) {
  const Path aside = path.parent_path() / fmt::format(".{}{}", path.filename().string(), kPruned);
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (error)
    throw ResourceError(
        fmt::format("cannot rename {}: {}", printable(path.string()), error.message()));
  flush_directory(path.parent_path());
  remove_files(aside);
}

}  // namespace

void prune_checkpoints(const Path& run_directory, int64_t keep) {
  check(keep >= 2, "pruning to {} checkpoints: the newest two always stay", keep);
  const auto refuse = [](const Error& e) {
    throw ResourceError(fmt::format("cannot prune the oldest checkpoints: {}", e.what()));
  };
  try {
    remove_leftovers(run_directory / "checkpoints");
    const std::vector<Path> valid = find_checkpoints(run_directory).valid;
    for (size_t i = size_t(keep); i < valid.size(); ++i) remove_checkpoint(valid[i]);
  } catch (const CheckpointError& e) {  // of an I/O error while looking
    refuse(e);
  } catch (const ResourceError& e) {
    refuse(e);
  }
}

}  // namespace birkhoff
