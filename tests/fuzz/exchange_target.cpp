#include "base/error.h"
#include "engine/checkpoint/safetensors.h"
#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_index.h"
#include "engine/exchange/hf_tokenizer.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

constexpr size_t kMostLines = 64;  // one line per feature

// Whether `parse` returns. It may refuse: a damaged file in one line, features in a line each.
template <class F>
bool reads(F&& parse) {
  try {
    return accepts<ConfigError>(parse, kMostLines);
  } catch (const CheckpointError& e) {
    require_message(e.what());
    return false;
  }
}

}  // namespace

bool hf_config(std::string_view bytes) {
  HfModel hf;
  if (!reads([&] { hf = parse_hf_config(bytes, "F"); })) return false;
  require(hf.model.residual == ResidualKind::plain, "a residual that is not plain");
  require(hf.model.dense_layers <= hf.model.layers, "more dense layers than there are");
  require((hf.blocks.rows > 0) == (hf.blocks.columns > 0), "blocks of {} by {}", hf.blocks.rows,
          hf.blocks.columns);
  require(hf.model.rope_scaling == RopeScaling::yarn || hf.model.rope_factor == 1,
          "a factor of {} without yarn", hf.model.rope_factor);
  Config config;
  config.model = hf.model, config.moe = hf.moe, config.train.sequence = hf.positions;
  std::string text;
  const auto write = [&] { text = hf_config_text(config, DType::f32, false, hf.special); };
  if (!accepts<ConfigError>(write, kMostLines))
    return true;  // a single expert, from which transformers cannot choose
  HfModel again = parse_hf_config(text, "W");
  again.interleaved = hf.interleaved;  // always written as pairs
  // Export never writes these.
  again.tied = hf.tied, again.mtp_layers = hf.mtp_layers, again.blocks = hf.blocks;
  require(again == hf, "what is written is not what was read:\n{}", text);
  return true;
}

bool hf_generation(std::string_view bytes) {
  SpecialTokens special;
  if (!reads([&] { special = parse_hf_generation(bytes, "F"); })) return false;
  require(parse_hf_generation(hf_generation_text(special), "W") == special,
          "what is written is not what was read");
  return true;
}

bool hf_index(std::string_view bytes) {
  std::map<std::string, std::string> files;
  if (!reads([&] { files = parse_hf_index(bytes, "F"); })) return false;
  for (const auto& [name, file] : files) {
    require(is_tensor_name(name), "'{}' is no name", name);
    require(file.find('/') == file.npos && file.find('\0') == file.npos && file[0] != '.',
            "'{}' may leave its directory", file);
  }
  require(parse_hf_index(hf_index_text(files, 0), "W") == files,
          "what is written is not what was read");
  return true;
}

}  // namespace birkhoff::fuzz
