#pragma once
// A checkpoint in format version 1, which did not yet record the tokenizer.
#include "base/hash.h"
#include "engine/checkpoint/checkpoint.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

// Rewrites a checkpoint's manifest as text and removes tokenizer.json.
inline void make_version_one(const Path& checkpoint) {
  std::string text = slurp(checkpoint / "manifest.json");
  const auto replace = [&](size_t begin, size_t end, const std::string& by) {
    check(begin < text.size() && end <= text.size() && begin <= end, "no manifest of version 2");
    text.replace(begin, end - begin, by);
  };
  const std::string version = "\"format_version\": 2";
  replace(text.find(version), text.find(version) + version.size(), "\"format_version\": 1");
  const size_t at = text.find("\n\"tokenizer\": ");
  replace(at, text.find('\n', at + 1), "");
  text.resize(text.find("\"manifest_hash\""));
  const std::string hash = hash128(std::as_bytes(std::span(text)));
  spill(checkpoint / "manifest.json", text + "\"manifest_hash\": \"" + hash + "\"\n}\n");
  std::filesystem::remove(checkpoint / "tokenizer.json");
}

}  // namespace birkhoff::testing
