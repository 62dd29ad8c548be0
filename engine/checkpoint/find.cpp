// Finds and opens the checkpoints of a run (checkpoint.h).
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"

namespace birkhoff {

std::string checkpoint_name(int64_t step) { return fmt::format("step-{:08d}", step); }

std::optional<int64_t> step_of_checkpoint(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  int64_t step = -1;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  if (step < 0 || checkpoint_name(step) != name) return std::nullopt;
  return step;
}

std::vector<Path> checkpoint_candidates(const Path& run_directory) {
  const Path folder = run_directory / "checkpoints";
  std::error_code error;
  if (!std::filesystem::exists(folder, error) && !error) return {};
  std::vector<std::pair<int64_t, Path>> found;
  try {
    for (const std::string& name : Directory(folder).names()) {
      if (const auto step = step_of_checkpoint(name)) found.emplace_back(*step, folder / name);
    }
  } catch (const ResourceError& e) {
    throw CheckpointError(e.what());
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<Path> paths;
  for (auto& [step, path] : found) paths.push_back(std::move(path));
  return paths;
}

Checkpoint open_candidate(const Path& candidate) {
  std::error_code error;
  if (std::filesystem::is_symlink(candidate, error))
    throw CheckpointError(fmt::format(
        "checkpoint {}: it is a symbolic link, which is not followed; give the directory itself",
        printable(candidate.string())));
  return Checkpoint::open(candidate);
}

FoundCheckpoints find_checkpoints(const Path& run_directory) {
  FoundCheckpoints found;
  for (const Path& path : checkpoint_candidates(run_directory)) {
    try {
      open_candidate(path);
      found.valid.push_back(path);
    } catch (const CheckpointError& e) {
      found.refused.emplace_back(e.what());
    }
  }
  return found;
}

std::optional<Checkpoint> latest_checkpoint(const Path& run_directory) {
  std::string newest_error;
  for (const Path& path : checkpoint_candidates(run_directory)) {
    try {
      return open_candidate(path);
    } catch (const CheckpointError& e) {
      if (newest_error.empty()) newest_error = e.what();
    }
  }
  if (!newest_error.empty())
    throw CheckpointError(fmt::format("{} has no valid checkpoint; the newest one fails with: {}",
                                      printable(run_directory.string()), newest_error));
  return std::nullopt;
}

Checkpoint open_checkpoint(const Path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error)
    throw CheckpointError(
        fmt::format("checkpoint {} does not exist; give the directory of a checkpoint or of a run",
                    printable(path.string())));
  if (!std::filesystem::exists(path / kManifestName, error) &&
      std::filesystem::is_directory(path / "checkpoints", error)) {
    if (std::optional<Checkpoint> latest = latest_checkpoint(path)) return std::move(*latest);
    throw CheckpointError(
        fmt::format("run directory {} has no checkpoint yet", printable(path.string())));
  }
  return Checkpoint::open(path);
}

}  // namespace birkhoff
