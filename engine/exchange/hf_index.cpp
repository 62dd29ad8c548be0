#include "engine/exchange/hf_index.h"

#include "base/error.h"
#include "engine/checkpoint/json.h"
#include "engine/checkpoint/safetensors.h"

namespace birkhoff {
namespace {

constexpr std::string_view kSuffix = ".safetensors";

std::map<std::string, std::string> parse(std::string_view text) {
  const nlohmann::json tree = parse_json(text, {.bytes = kMaxHfIndex, .depth = 4});
  JsonFields top(tree, "the index");
  if (const nlohmann::json* metadata = top.find("metadata"); metadata && !metadata->is_object())
    throw JsonError("metadata is not an object");
  const nlohmann::json& map = top.at("weight_map");
  if (!map.is_object()) throw JsonError("weight_map is not an object");
  top.done();
  std::map<std::string, std::string> files;
  for (const auto& [name, file] : map.items()) {
    if (!is_tensor_name(name))
      throw JsonError(fmt::format("weight_map: '{}' is not a valid tensor name", printable(name)));
    if (!file.is_string() || !is_hf_file_name(file.get_ref<const std::string&>()))
      throw JsonError(fmt::format(
          "weight_map: {}: {} is not a valid file name, such as "
          "\"model-00001-of-00002.safetensors\"",
          name, printable(file.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), 60)));
    files.emplace(name, file.get<std::string>());
  }
  return files;
}

}  // namespace

bool is_hf_file_name(std::string_view name) {
  if (name.size() <= kSuffix.size() || name.size() > kMaxTensorName || !name.ends_with(kSuffix) ||
      name[0] == '.')
    return false;
  for (const char c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.';
    if (!fine) return false;
  }
  return true;
}

std::string hf_file_name(size_t number, size_t count) {
  return fmt::format("model-{:05d}-of-{:05d}{}", number, count, kSuffix);
}

std::map<std::string, std::string> parse_hf_index(std::string_view text, std::string_view place) {
  try {
    return parse(text);
  } catch (const JsonError& e) {
    throw CheckpointError(fmt::format("{}: {}", printable(place), e.what()));
  }
}

std::string hf_index_text(const std::map<std::string, std::string>& files, size_t total_bytes) {
  nlohmann::ordered_json j;
  j["metadata"] = {{"total_size", total_bytes}};
  j["weight_map"] = files;
  return j.dump(2) + "\n";
}

}  // namespace birkhoff
