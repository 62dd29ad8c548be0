#include "tests/fuzz/targets.h"

#include <algorithm>
#include <array>

#include "tests/fuzz/memory.h"

namespace birkhoff::fuzz {
namespace {

constexpr size_t kMiB = size_t(1) << 20;
// A JSON list costs 16 bytes for "0,", and twice that while it grows. An object of "":0 fields
// costs a node of about 100 bytes, and as much again for the names that are checked for duplicates.
constexpr size_t kJsonFactor = 64;
constexpr std::array kTargets = {
    Target{"config", config, 16 * kMiB, 32},
    Target{"safetensors", safetensors, kMiB, 64},
    Target{"manifest", manifest, kMiB, kJsonFactor},
    Target{"index", index, kMiB, 16},
    Target{"dataset", dataset, kMiB, kJsonFactor},
    Target{"metrics", metrics, kMiB, kJsonFactor},
    Target{"hf_config", hf_config, kMiB, kJsonFactor},
    Target{"hf_index", hf_index, kMiB, kJsonFactor},
    Target{"hf_generation", hf_generation, kMiB, kJsonFactor},
    Target{"tokenizer", tokenizer, kMiB, kJsonFactor},
    Target{"documents", documents, 4 * kMiB, kJsonFactor},
    Target{"token_list", token_list, kMiB, kJsonFactor},
};

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target& target(std::string_view name) {
  const auto* found = std::find_if(kTargets.begin(), kTargets.end(),
                                   [&](const Target& t) { return t.name == name; });
  if (found == kTargets.end()) throw std::out_of_range(fmt::format("there is no target {}", name));
  return *found;
}

bool run(const Target& target, std::string_view bytes) {
  const int64_t before = memory().live;
  memory().peak = before;
  const bool accepted = target.run(bytes);
  const int64_t used = memory().peak - before;
  const size_t limit = target.base + target.factor * bytes.size();
  require(used <= int64_t(limit), "{} bytes of memory for {} of input; at most {}", used,
          bytes.size(), limit);
  return accepted;
}

void require_message(std::string_view what, size_t lines) {
  size_t count = 0;
  for (size_t at = 0; at <= what.size(); ++count) {
    const std::string_view line = what.substr(at, what.find('\n', at) - at);
    require(!line.empty() && line.size() <= 5000, "a line of {} bytes in a message", line.size());
    for (const char c : line)
      require(c >= 0x20 && c < 0x7F, "byte {} in the message {}", int(c), what);
    at += line.size() + 1;
  }
  require(count <= lines, "{} lines in a message, at most {}", count, lines);
}

}  // namespace birkhoff::fuzz
