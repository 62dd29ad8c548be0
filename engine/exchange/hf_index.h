#pragma once
// model.safetensors.index.json of a model in several files: which file holds each tensor.
//
//   {"metadata": {"total_size": bytes}, "weight_map": {tensor: "model-00001-of-00002.safetensors"}}
//
// Thread-safe: no state.
#include <map>
#include <string>
#include <string_view>

namespace birkhoff {

inline constexpr std::string_view kHfIndexName = "model.safetensors.index.json";
inline constexpr std::string_view kHfWeightsName = "model.safetensors";
inline constexpr size_t kMaxHfIndex = size_t(64) << 20;

// Letters, digits, '.', '_' and '-', ending in ".safetensors"; no path, nothing hidden.
bool is_hf_file_name(std::string_view name);
std::string hf_file_name(size_t number, size_t count);  // number from 1

// Returns tensor → file. Throws CheckpointError (exit code 4) that begins with `place`, unless all
// names satisfy their grammar and each tensor is given once. Ignores what "metadata" holds.
std::map<std::string, std::string> parse_hf_index(std::string_view text, std::string_view place);

std::string hf_index_text(const std::map<std::string, std::string>& files, size_t total_bytes);

}  // namespace birkhoff
