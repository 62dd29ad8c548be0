#include "engine/train/loop_state.h"

#include <charconv>

#include "base/error.h"

namespace birkhoff {
namespace {

constexpr const char* kSamples = "samples";
constexpr const char* kRanks = "ranks";
constexpr const char* kLoad = "expert_load.";  // followed by the layer's number

// Parses "12,20,0".
std::vector<int64_t> parse_numbers(const std::string& key, std::string_view text) {
  std::vector<int64_t> numbers;
  const char *at = text.data(), *end = at + text.size();
  while (true) {
    int64_t number = -1;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0 || (next != end && *next != ','))
      throw CheckpointError(
          fmt::format("manifest: state: {} is not a list of counts: {}", key, printable(text, 60)));
    numbers.push_back(number);
    if (next == end) return numbers;
    at = next + 1;
  }
}

// SplitMix64's finaliser.
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

void LoopState::take_step(const std::vector<std::vector<int64_t>>& step_load, int64_t step_samples,
                          int64_t step_tokens) {
  samples += step_samples, tokens += step_tokens;
  load.resize(step_load.size());
  for (size_t layer = 0; layer < load.size(); ++layer) {
    load[layer].resize(step_load[layer].size());
    for (size_t e = 0; e < load[layer].size(); ++e) load[layer][e] += step_load[layer][e];
  }
}

std::map<std::string, std::string> to_text(const LoopState& state) {
  std::map<std::string, std::string> text = {{kSamples, fmt::format("{}", state.samples)}};
  if (state.ranks > 0) text[kRanks] = fmt::format("{}", state.ranks);
  for (size_t layer = 0; layer < state.load.size(); ++layer) {
    std::string& numbers = text[fmt::format("{}{}", kLoad, layer)];
    for (const int64_t n : state.load[layer])
      numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", n);
  }
  return text;
}

LoopState parse_loop_state(const CheckpointInfo& info) {
  LoopState state;
  state.tokens = info.tokens;
  const auto samples = info.state.find(kSamples);
  if (samples == info.state.end())
    throw CheckpointError(
        "manifest: state: samples is missing, so the position in the data is unknown");
  state.samples = parse_numbers(kSamples, samples->second)[0];
  if (const auto ranks = info.state.find(kRanks); ranks != info.state.end())
    state.ranks = parse_numbers(kRanks, ranks->second)[0];
  for (size_t layer = 0;; ++layer) {
    const std::string key = fmt::format("{}{}", kLoad, layer);
    const auto found = info.state.find(key);
    if (found == info.state.end()) return state;
    state.load.push_back(parse_numbers(key, found->second));
  }
}

uint64_t window_hash(const Batch& batch, int64_t first) {
  uint64_t sum = 0;
  for (size_t row = 0; row < batch.windows.size(); ++row)
    if (batch.windows[row] >= 0)
      sum += mixed(mixed(uint64_t(first) + row + 1) ^ uint64_t(batch.windows[row]));
  return sum;
}

}  // namespace birkhoff
