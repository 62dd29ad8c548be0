#include "launch/config_argument.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {
namespace {

bool is_there(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
}

bool same_place(const Path& a, const Path& b) {
  std::error_code error;
  return std::filesystem::weakly_canonical(a, error) == std::filesystem::weakly_canonical(b, error);
}

bool sets(const std::vector<std::string>& overrides, std::string_view key) {
  return std::any_of(overrides.begin(), overrides.end(), [&](const std::string& text) {
    return text.size() > key.size() && text.starts_with(key) && text[key.size()] == '=';
  });
}

// Quotes text as YAML, since a path may begin with what an override parses as YAML.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

[[noreturn]] void refuse_directory(const Path& directory) {
  const char* what = "a directory but not a run: it has no config.yaml; give a config file";
  if (is_there(directory / "manifest.json"))
    what =
        "a checkpoint, not a config; to resume its run from the newest checkpoint, give the run "
        "directory; to start a new run from this checkpoint: birkhoff import CHECKPOINT --out RUN";
  else if (is_there(directory / "config.json"))
    what = "a Hugging Face model; first make a run from it: birkhoff import DIR --out RUN";
  else if (is_there(directory / "checkpoints") || is_there(directory / "metrics.jsonl"))
    what =
        "a run directory without a config.yaml; give the config file that the run was started with";
  throw ConfigError(fmt::format("config: {} is {}", printable(directory.string()), what));
}

ConfigArgument load_run(const Path& directory, std::vector<std::string> overrides, Use use) {
  const Path file = directory / "config.yaml";
  if (!is_there(file)) refuse_directory(directory);
  const bool resumes = sets(overrides, "run.resume"), names = sets(overrides, "run.dir");
  overrides.insert(overrides.begin(), {"run.dir=" + quoted(directory.string()),
                                       "run.allow_changes=false", "train.stop_at=0"});
  ConfigArgument loaded{load_config(file, overrides, use), {}};
  if (names && !same_place(loaded.config.run.dir, directory))
    throw ConfigError(fmt::format(
        "command line: run.dir: must be {0}, the directory of the run to resume; to start a run "
        "with the same config in another directory: birkhoff train {0}/config.yaml run.dir=...",
        printable(directory.string())));
  if (!resumes && loaded.config.run.resume == Resume::never)
    loaded.config.run.resume = Resume::automatic;
  return loaded;
}

// The config.yaml of a renamed or copied run still names the run's earlier directory.
std::string misplaced(const Path& file, const Config& config) {
  Path home = file.parent_path();
  if (home.empty()) home = ".";
  const bool of_a_run = file.filename() == "config.yaml" &&
                        (is_there(home / "checkpoints") || is_there(home / "metrics.jsonl"));
  if (!of_a_run || same_place(home, config.run.dir)) return "";
  const std::string here = printable(home.string()), there = printable(config.run.dir);
  return fmt::format(
      "{0}/config.yaml is in the run directory {0}, but its run.dir is {1}, so {0} was renamed or "
      "copied; this command uses the run in {1}; to use the one in {0}, give the directory: "
      "birkhoff train {0}",
      here, there);
}

}  // namespace

ConfigArgument load_config_argument(const std::string& given,
                                    const std::vector<std::string>& overrides, Use use) {
  std::error_code error;
  if (std::filesystem::is_directory(given, error)) {
    Path directory = given;
    if (!directory.has_filename() && directory.has_relative_path())
      directory = directory.parent_path();  // "runs/a/"
    return load_run(directory, overrides, use);
  }
  ConfigArgument loaded{load_config(given, overrides, use), {}};
  if (sets(overrides, "run.dir")) return loaded;
  if (std::string text = misplaced(given, loaded.config); !text.empty())
    loaded.warnings.push_back(std::move(text));
  return loaded;
}

}  // namespace birkhoff
