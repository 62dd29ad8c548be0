#include "engine/checkpoint/leftovers.h"

#include <unistd.h>

#include "engine/checkpoint/checkpoint.h"

namespace birkhoff {
namespace {

constexpr std::string_view kPartial = ".partial", kPruned = ".pruned";

Path beside(const Path& checkpoint, std::string_view ending) {
  const Path parent = checkpoint.has_parent_path() ? checkpoint.parent_path() : Path(".");
  return parent / fmt::format(".{}{}", checkpoint.filename().string(), ending);
}

// Whether `name` is like ".step-00000100.partial", of a step's checkpoint.
bool is_leftover(std::string_view name) {
  for (const std::string_view ending : {kPartial, kPruned}) {
    if (!name.starts_with('.') || !name.ends_with(ending)) continue;
    name.remove_prefix(1);
    name.remove_suffix(ending.size());
    return step_of_checkpoint(name).has_value();
  }
  return false;
}

}  // namespace

Path partial_path(const Path& checkpoint) { return beside(checkpoint, kPartial); }
Path pruned_path(const Path& checkpoint) { return beside(checkpoint, kPruned); }

bool remove_leftover(const Path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(path, error))) return true;
  for (const std::string& name : Directory(path).names()) {
    if (is_shard_name(name) || name == kManifestName || name == kTokenizerName)
      ::unlink((path / name).c_str());
  }
  return ::rmdir(path.c_str()) == 0;
}

void remove_leftovers(const Path& run_directory) {
  const Path folder = run_directory / "checkpoints";
  std::error_code error;
  if (!std::filesystem::exists(folder, error) && !error) return;
  for (const std::string& name : Directory(folder).names()) {
    if (is_leftover(name)) remove_leftover(folder / name);
  }
}

}  // namespace birkhoff
