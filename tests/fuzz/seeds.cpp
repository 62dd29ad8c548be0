#include "tests/fuzz/seeds.h"

#include <cstdlib>
#include <stdexcept>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/load.h"
#include "engine/data/token_writer.h"
#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_index.h"
#include "engine/exchange/hf_tokenizer.h"
#include "engine/metrics/metrics.h"

namespace birkhoff::fuzz {
namespace {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "birkhoff-seeds-XXXXXX").string();
    check(::mkdtemp(name.data()) != nullptr, "no folder {}", name);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Path operator/(const char* name) const { return path_ / name; }

 private:
  Path path_;
};

std::string u64(uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

std::vector<std::string> config_seeds() {
  const std::string config = effective_yaml({});
  return {config, "",
          config + "\xFFoptim.lr=1e-4\xFFrun.dir='a b'\xFFoptim.step_points=[0.5, 0.75]",
          "seed: 7\nmodel: {dim: 64, residual: mhc, streams: 3}\n# a comment\ntrain:\n"
          "  steps: 10 # another\n"};
}

struct Tensors {
  std::vector<std::byte> bytes = std::vector<std::byte>(64, std::byte{0x5A});
  std::vector<NamedTensor> named = {
      {"embedding.weight", {{3, 5}, DType::f32}, std::span(bytes).first(60)},
      {"layers.0.mhc.alpha", {{3}, DType::f32}, std::span(bytes).first(12)},
      {"layers.0.none", {{0, 4}, DType::bf16}, std::span(bytes).first(0)},
      {"layers.0.scale", {{7}, DType::bf16}, std::span(bytes).first(14)},
      {"step", {{}, DType::i64}, std::span(bytes).first(8)}};
};

std::vector<std::string> safetensors_seeds() {
  const Tensors tensors;
  std::vector<std::string> out;
  for (const size_t count : {size_t(0), size_t(1), tensors.named.size()}) {
    const auto some = std::span(tensors.named).first(count);
    size_t bytes = 0;
    for (const NamedTensor& t : some) bytes += t.spec.bytes();
    for (const bool more : {false, true}) {
      std::map<std::string, std::string> metadata;
      if (more) metadata = {{"birkhoff.step", "100"}, {"format", "p\"t\n"}};
      const std::string header = safetensors_header(some, metadata);
      out.push_back(u64(header.size() + bytes) + header);
    }
  }
  const NamedTensor scaled[] = {{"w.weight", {{2, 3}, DType::f8_e4m3}, {}},
                                {"w.weight_scale_inv", {{1, 1}, DType::f32}, {}}};
  const std::string header = safetensors_header(scaled, {});
  out.push_back(u64(header.size() + 10) + header);
  return out;
}

std::vector<std::string> tokenizer_seeds() {
  return {
      R"({"version": "1.0", "added_tokens": [{"id": 3, "content": "</s>", "special": true}],)"
      R"( "normalizer": null, "model": {"type": "BPE", "vocab": {"a": 0, "\u00e9": 1, "b": 2},)"
      R"( "merges": [["a", "b"]]}})",
      R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5e0]]}})",
      R"({"model": {"vocab": {}}, "added_tokens": [{"id": 0}, {"id": 2147483646}]})"};
}

std::vector<std::string> manifest_seeds() {
  const Tensors tensors;
  const std::string tokenizer = tokenizer_seeds()[0];
  CheckpointInfo info = {.step = 100,
                         .tokens = 819200,
                         .seed = UINT64_MAX,
                         .model = "model.layers: 2\n",
                         .data = "tokens=12345",
                         .config = "seed: 1\n",
                         .state = {{"data.position", "8192"}, {"loss", "0.1"}}};
  std::vector<std::string> out;
  const Folder folder;
  for (const size_t count : {size_t(0), size_t(1), tensors.named.size()}) {
    const Path path = folder / fmt::format("{}", count).c_str();
    const bool has_file = info.tokenizer && info.tokenizer->has_file();
    save_checkpoint(path, info, std::span(tensors.named).first(count),
                    {.shard_bytes = 70, .chunk_bytes = 32}, has_file ? tokenizer : "");
    out.push_back(read_file(path / kManifestName, kMaxManifest));
    info.tokenizer = count == 0 ? identity_of_file(tokenizer, "a\n\".json") : byte_identity();
    info.tokenizer->special.pad = {.ids = {-1, 5}, .is_list = true};
  }
  return out;
}

// Indexes made by the writer, or manifests.
std::vector<std::string> data_seeds(bool index) {
  std::vector<std::string> out;
  const Folder folder;
  for (const TokenType type : {TokenType::u16, TokenType::u8, TokenType::i64}) {
    const Path prefix = folder / "set";
    TokenWriter writer(prefix, type, true);
    for (const size_t length : {2, 0, 1, 7})
      writer.add_document(std::vector<int32_t>(length, int32_t(length)));
    DatasetManifest manifest{.tokenizer = {.name = "byte", .vocab = 257, .end_of_document = 256},
                             .bytes = 9};
    if (type == TokenType::u8) manifest.tokenizer.hash = std::string(32, '7');
    writer.commit(manifest);
    const auto bytes = std::filesystem::file_size(bin_path(prefix));
    out.push_back(index ? u64(bytes) + read_file(idx_path(prefix), 10000)
                        : read_file(manifest_path(prefix), 10000));
  }
  return out;
}

std::vector<std::string> metrics_seeds() {
  const std::string step =
      metrics_line(StepMetrics{.step = 7,
                               .loss = 5.5,
                               .grad_norm = 1e300 * 1e300,
                               .lr = 3e-4,
                               .tokens = 4096,
                               .extra = {{"h_res_max", 0.25}, {"a \"b\"", -0.0}},
                               .step_seconds = 0.5,
                               .tokens_per_second = 8192,
                               .extra_times = {{"mfu", 0.75}}});
  const std::string eval = metrics_line(
      EvalMetrics{.step = 7, .eval_loss = 2, .expert_load = {{1, 2, 3}, {}, {0, 6, 0}}});
  return {step, step + eval, eval + step + "{\"step\":", ""};
}

std::vector<std::string> documents_seeds() {
  using namespace std::string_literals;
  return {"\0a\nb\n"s,
          "\1a\n\nb"s,
          "\2 a\nb\r\n \t\r\n\nc\u00e9\n\nd"s,
          "\3x\n## one\na\n\n##\nb\n"s,
          "\4{\"text\": \"a\\n\\u00e9\\\"\\u0000\", \"n\": [1, {\"text\": \"no\"}]}\n \n"
          "{\"id\": {\"text\": 3}, \"text\": \"\"}"s,
          "\4\xEF\xBB\xBF{\"n\": [NaN, -Infinity, 1e999, 0.5], \"half\": \"\\ud800\", "
          "\"text\": \"\\ud83d\\ude00\"}\r\n"s};
}

std::vector<std::string> token_list_seeds() {
  return {"", "1 2\n3", "0,10, 2147483647\r\n", "[1, 2,3]\n", " [ ] "};
}

std::vector<std::string> hf_config_seeds() {
  Config config;
  config.model.residual = ResidualKind::plain;
  config.model.kv_norm_eps = kHfKvNormEps;
  std::string text = hf_config_text(
      config, DType::bf16, false,
      {.bos = {.ids = {1}}, .eos = {.ids = {2, 3}, .is_list = true}, .pad = {.ids = {-1}}});
  std::vector<std::string> out = {text};
  const std::string scaling = "\"rope_scaling\": null";
  text.replace(text.find(scaling), scaling.size(),
               R"("rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}, "head_dim": 16)");
  out.push_back(text);
  const std::string interleave = "\"rope_interleave\": true";
  text.replace(text.find(interleave), interleave.size(),
               "\"rope_interleave\": false, \"transformers_version\": \"5.0.0\"");
  out.push_back(text);
  config.model.q_rank = 24;
  config.model.rope_scaling = RopeScaling::yarn, config.model.rope_factor = 40;
  config.model.rope_mscale = 1, config.model.rope_mscale_all_dim = 0.5;
  text = hf_config_text(config, DType::bf16);
  const std::string tie = "\"tie_word_embeddings\": false";
  text.replace(text.find(tie), tie.size(),
               R"("tie_word_embeddings": true, "num_mtp_layers": 0, "quantization_config":
{"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "scale_fmt": "ue8m0",
"weight_block_size": [128, 128]})");
  out.push_back(text);
  return out;
}

std::vector<std::string> hf_generation_seeds() {
  return {hf_generation_text({}),
          hf_generation_text({.bos = {.ids = {1}}, .eos = {.ids = {2, 3}, .is_list = true}}),
          R"({"do_sample": true, "temperature": 0.6, "eos_token_id": [], "pad_token_id": -1})"};
}

std::vector<std::string> hf_index_seeds() {
  return {hf_index_text({}, 0), R"({"weight_map": {"a": "b.safetensors"}})",
          hf_index_text({{"lm_head.weight", hf_file_name(2, 2)},
                         {"model.layers.0.mlp.gate.e_score_correction_bias", hf_file_name(1, 2)},
                         {"model.norm.weight", "x.safetensors"}},
                        123456789)};
}

}  // namespace

std::vector<std::string> seeds(std::string_view target) {
  if (target == "config") return config_seeds();
  if (target == "safetensors") return safetensors_seeds();
  if (target == "manifest") return manifest_seeds();
  if (target == "index" || target == "dataset") return data_seeds(target == "index");
  if (target == "metrics") return metrics_seeds();
  if (target == "documents") return documents_seeds();
  if (target == "token_list") return token_list_seeds();
  if (target == "hf_config") return hf_config_seeds();
  if (target == "hf_index") return hf_index_seeds();
  if (target == "hf_generation") return hf_generation_seeds();
  if (target == "tokenizer") return tokenizer_seeds();
  throw std::out_of_range(fmt::format("there are no seeds for {}", target));
}

}  // namespace birkhoff::fuzz
