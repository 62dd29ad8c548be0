#include "engine/exchange/hf_tokenizer.h"

#include <algorithm>

#include "engine/checkpoint/checkpoint_error.h"
#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_weights.h"

namespace birkhoff {
namespace {

SpecialTokens parse_generation(std::string_view text) {
  const nlohmann::json tree = parse_json(text, {.bytes = kMaxHfConfig, .depth = 8});
  JsonFields fields(tree, "it");
  return hf_special_tokens(fields);
}

}  // namespace

SpecialTokens hf_special_tokens(JsonFields& fields) {
  const auto ids = [&](const char* key) {
    const nlohmann::json* value = fields.find(key);
    return value ? parse_token_ids(*value, key) : TokenIds();
  };
  return {.bos = ids("bos_token_id"), .eos = ids("eos_token_id"), .pad = ids("pad_token_id")};
}

void write_hf_special_tokens(const SpecialTokens& special, nlohmann::ordered_json& j) {
  j["bos_token_id"] = to_json(special.bos);
  j["eos_token_id"] = to_json(special.eos);
  j["pad_token_id"] = to_json(special.pad);
}

SpecialTokens parse_hf_generation(std::string_view text, std::string_view place) {
  try {
    return parse_generation(text);
  } catch (const JsonError& e) {
    throw CheckpointError(fmt::format("{}: {}", printable(place), e.what()));
  }
}

std::string hf_generation_text(const SpecialTokens& special) {
  nlohmann::ordered_json j;
  write_hf_special_tokens(special, j);
  return j.dump(2) + "\n";
}

ModelTokenizer read_hf_tokenizer(const Directory& directory, SpecialTokens special) {
  const std::vector<std::string> names = as_checkpoint_error([&] { return directory.names(); });
  const auto has = [&](std::string_view name) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  const bool all = special.bos.known() && special.eos.known() && special.pad.known();
  if (!all && has(kHfGenerationName)) {
    const SpecialTokens more =
        parse_hf_generation(read_hf_text(directory, kHfGenerationName, kMaxHfConfig),
                            (directory.path() / kHfGenerationName).string());
    if (!special.bos.known()) special.bos = more.bos;
    if (!special.eos.known()) special.eos = more.eos;
    if (!special.pad.known()) special.pad = more.pad;
  }
  ModelTokenizer tokenizer{.identity = TokenizerIdentity()};
  if (has(kTokenizerName)) {
    tokenizer.json = read_hf_text(directory, kTokenizerName, kMaxTokenizer);
    try {
      tokenizer.identity = identity_of_file(tokenizer.json, std::string(kTokenizerName));
    } catch (const JsonError& e) {
      throw CheckpointError(
          fmt::format("{} {}; fix it, or move it away to import without a tokenizer",
                      printable((directory.path() / kTokenizerName).string()), e.what()));
    }
  }
  tokenizer.identity->special = std::move(special);
  return tokenizer;
}

}  // namespace birkhoff
