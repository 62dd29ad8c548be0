#pragma once
// The results of a run that depend only on config and data, for comparing two runs bit by bit.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <sstream>

#include "engine/checkpoint/checkpoint.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

// metrics.jsonl with each line cut before its time fields, which are last.
inline std::string without_times(const std::string& metrics) {
  std::string out;
  std::istringstream in(metrics);
  for (std::string line; std::getline(in, line);) {
    const size_t at = std::min(line.find("\"step_seconds\""), line.find("\"eval_seconds\""));
    EXPECT_NE(at, std::string::npos) << line;
    out += line.substr(0, at) + "\n";
  }
  return out;
}

// Every tensor of a checkpoint, verified while it is read, whichever ranks wrote its parts.
inline std::map<std::string, std::string> tensors_of(const Path& checkpoint_directory) {
  const Checkpoint checkpoint = Checkpoint::open(checkpoint_directory);
  std::map<std::string, std::string> all;
  for (const StoredTensor& t : checkpoint.manifest().tensors) {
    std::string& bytes = all[t.name];
    bytes.resize(t.spec.bytes());
    checkpoint.read(t.name, t.spec, std::as_writable_bytes(std::span(bytes)));
  }
  return all;
}

// "metrics" or a checkpoint's name → its parts by name.
using Results = std::map<std::string, std::map<std::string, std::string>>;

// metrics without times, and the tensors and loop state of each checkpoint. Empty if the run has
// left no metrics.
inline Results results_of(const Path& run) {
  Results all;
  if (!std::filesystem::exists(run / "metrics.jsonl")) return all;
  all["metrics"]["lines"] = without_times(slurp(run / "metrics.jsonl"));
  for (const Path& path : checkpoint_candidates(run)) {
    auto& tensors = all[path.filename().string()] = tensors_of(path);
    const Checkpoint checkpoint = Checkpoint::open(path);
    for (const auto& [key, value] : checkpoint.manifest().info.state)
      tensors["state " + key] = value;
  }
  return all;
}

// Names of the parts in which two runs differ, one per line; their bytes would fill pages.
inline std::string differences(const Results& got, const Results& want) {
  std::map<std::string, std::array<const std::string*, 2>> both;
  for (const auto& [name, parts] : got)
    for (const auto& [part, bytes] : parts) both[name + " " + part][0] = &bytes;
  for (const auto& [name, parts] : want)
    for (const auto& [part, bytes] : parts) both[name + " " + part][1] = &bytes;
  std::string out;
  for (const auto& [name, bytes] : both) {
    const auto [left, right] = bytes;
    if (left && right && *left == *right) continue;
    out += name + (!left ? " is missing\n" : !right ? " was not expected\n" : " differs\n");
  }
  return out;
}

// Every file of a run except its lock, which names the last process that looked, and its logs.
inline std::map<std::string, std::string> kept_files(const Path& run) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(run)) {
    const std::string name = entry.path().lexically_relative(run).string();
    if (entry.is_regular_file() && name != "lock" && !name.starts_with("log/"))
      all[name] = slurp(entry.path());
  }
  return all;
}

}  // namespace birkhoff::testing
