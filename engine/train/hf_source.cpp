#include "engine/train/hf_source.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/exchange/hf_tokenizer.h"
#include "engine/train/hf_extras.h"

namespace birkhoff {
namespace {

Config config_of_hf(const HfModel& hf) {
  constexpr int64_t kLongest = 1 << 20;  // train.sequence
  Config config;
  config.model = hf.model;
  config.moe = hf.moe;
  config.train.sequence = std::clamp<int64_t>(hf.positions, 1, kLongest);
  return config;
}

// Moves rows (i, i + dims / 2) to (2i, 2i + 1); `rows` is [dims, width].
void interleave(std::span<float> rows, int64_t dims, int64_t width) {
  const std::vector<float> halves(rows.begin(), rows.end());
  for (int64_t row = 0; row < dims; ++row) {
    const int64_t from = row / 2 + (row % 2) * (dims / 2);
    std::copy_n(halves.begin() + from * width, width, rows.begin() + row * width);
  }
}

class HfSource final : public ImportSource {
 public:
  HfSource(const Directory& directory, const HfModel& hf)
      : ImportSource(directory.path(), config_of_hf(hf), read_hf_tokenizer(directory, hf.special)),
        hf_(hf),
        weights_(directory),
        extras_(hf_, weights_) {}

  // A tied head is one of the model's tensors, even if the files leave it out.
  std::vector<std::string> names() const override {
    std::vector<std::string> all = extras_.others();
    const bool has_head = std::binary_search(all.begin(), all.end(), kHfHead);
    if (hf_.tied && !has_head && std::binary_search(all.begin(), all.end(), kHfEmbedding))
      all.insert(std::lower_bound(all.begin(), all.end(), kHfHead), kHfHead);
    return all;
  }

  // Any dtype that holds weights counts as f32.
  TensorSpec spec(const std::string& name) const override {
    TensorSpec spec = weights_.tensors().at(stored_name(name)).spec;
    if (spec.dtype == DType::bf16 || spec.dtype == DType::f16 || spec.dtype == DType::f8_e4m3)
      spec.dtype = DType::f32;
    return spec;
  }

  std::vector<std::string> faults() const override { return extras_.faults(); }

  std::string passed_over() const override {
    const std::string what = extras_.left_out();
    return what.empty() ? what : fmt::format("{}: ignored {}", path().string(), what);
  }

  void read(const ModelTensor& tensor, std::span<float> values) const override {
    const std::string& name = tensor.part.name;
    read_stored(stored_name(name), values);
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        throw CheckpointError(fmt::format("{}: tensor {} is not finite: {} at element {}",
                                          printable(path().string()), name, values[i], i));
    if (!hf_.interleaved) pair_neighbours(name, values);
  }

 private:
  const std::string& stored_name(const std::string& name) const {
    return hf_.tied && name == kHfHead ? kHfEmbedding : name;
  }

  void read_stored(const std::string& name, std::span<float> values) const {
    const HfTensor& tensor = weights_.tensors().at(name);
    weights_.read(tensor, values);
    if (tensor.spec.dtype != DType::f8_e4m3) return;
    const HfTensor& scale = weights_.tensors().at(name + std::string(kScaleSuffix));
    std::vector<float> scales(size_t(scale.spec.count()));
    weights_.read(scale, scales);
    scale_blocks(values, tensor.spec.shape, scales, hf_.blocks);
  }

  // Moves rotated rows of pairs (i, i + rope_dim / 2) to (2i, 2i + 1).
  void pair_neighbours(const std::string& name, std::span<float> values) const {
    const ModelConfig& m = config().model;
    const auto turned = [&](int64_t first, int64_t width) {
      interleave(values.subspan(size_t(first * width), size_t(m.rope_dim * width)), m.rope_dim,
                 width);
    };
    const std::string_view of_queries =
        m.q_rank ? ".self_attn.q_b_proj.weight" : ".self_attn.q_proj.weight";
    if (name.ends_with(of_queries))
      for (int64_t h = 0; h < m.heads; ++h)
        turned(h * (m.nope_dim + m.rope_dim) + m.nope_dim, m.q_rank ? m.q_rank : m.dim);
    if (name.ends_with(".self_attn.kv_a_proj_with_mqa.weight")) turned(m.kv_rank, m.dim);
  }

  HfModel hf_;
  HfWeights weights_;
  HfExtras extras_;
};

}  // namespace

std::unique_ptr<ImportSource> open_hf_source(const Path& path) {
  std::optional<Directory> directory;
  try {
    directory.emplace(path);
  } catch (const ResourceError& e) {
    throw CheckpointError(e.what());
  }
  const HfModel hf = parse_hf_config(read_hf_text(*directory, kHfConfigName, kMaxHfConfig),
                                     (path / kHfConfigName).string());
  return std::make_unique<HfSource>(*directory, hf);
}

}  // namespace birkhoff
