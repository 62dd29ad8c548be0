#include "engine/train/import_source.h"

#include <algorithm>
#include <map>

#include "engine/checkpoint/checkpoint.h"
#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_tokenizer.h"
#include "engine/exchange/hf_weights.h"
#include "engine/train/load_model.h"

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

// Rows (i, i + dims / 2) become rows (2i, 2i + 1): `rows` is [dims, width].
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
        interleaved_(hf.interleaved),
        weights_(directory) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : weights_.tensors()) all.push_back(name);
    return all;
  }

  // Any dtype that holds weights is as good as f32.
  TensorSpec spec(const std::string& name) const override {
    TensorSpec spec = weights_.tensors().at(name).spec;
    if (spec.dtype == DType::bf16 || spec.dtype == DType::f16) spec.dtype = DType::f32;
    return spec;
  }

  void read(const ModelTensor& tensor, std::span<float> values) const override {
    const std::string& name = tensor.part.name;
    weights_.read(weights_.tensors().at(name), values);
    if (interleaved_) return;
    const ModelConfig& m = config().model;
    const int64_t width = m.dim, head = m.nope_dim + m.rope_dim;
    const auto turned = [&](int64_t first) {
      interleave(values.subspan(size_t(first * width), size_t(m.rope_dim * width)), m.rope_dim,
                 width);
    };
    if (name.ends_with(".self_attn.q_proj.weight"))
      for (int64_t h = 0; h < m.heads; ++h) turned(h * head + m.nope_dim);
    if (name.ends_with(".self_attn.kv_a_proj_with_mqa.weight")) turned(m.kv_rank);
  }

 private:
  bool interleaved_;
  HfWeights weights_;
};

class OwnSource final : public ImportSource {
 public:
  explicit OwnSource(Checkpoint checkpoint)
      : ImportSource(checkpoint.path(), config_of(checkpoint), checkpoint.tokenizer()),
        checkpoint_(std::move(checkpoint)) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const StoredTensor& t : checkpoint_.manifest().tensors)
      if (!t.name.starts_with("adam_m.") && !t.name.starts_with("adam_v.")) all.push_back(t.name);
    return all;
  }

  TensorSpec spec(const std::string& name) const override { return checkpoint_.find(name)->spec; }

  void read(const ModelTensor& tensor, std::span<float> values) const override {
    checkpoint_.read(tensor.part.name, {tensor.part.shape, DType::f32},
                     std::as_writable_bytes(values));
  }

 private:
  Checkpoint checkpoint_;
};

}  // namespace

std::unique_ptr<ImportSource> open_import_source(const Path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path / kHfConfigName, error))
    return std::make_unique<OwnSource>(open_checkpoint(path));
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

void check_tensors(const ImportSource& source) {
  constexpr size_t kMost = 20;
  const std::vector<std::string> names = source.names();
  // Each missing tensor is named, but the work must not outgrow the file.
  const int64_t least = fewest_tensors(source.config());
  if (least > 1000 + 16 * int64_t(names.size()))
    throw CheckpointError(
        fmt::format("{}: its config is of a model of {} tensors or more, it has {}",
                    printable(source.path().string()), least, names.size()));
  std::map<std::string, TensorSpec> wanted;
  for (const ModelTensor& t : model_tensors(source.config()))
    wanted[t.part.name] = {t.part.shape, DType::f32};
  std::vector<std::string> faults;
  for (const std::string& name : names) {
    const auto found = wanted.find(name);
    if (found == wanted.end())
      faults.push_back(fmt::format("tensor {} is not one of this model's", name));
    else if (source.spec(name) != found->second)
      faults.push_back(fmt::format("tensor {} is {}, its config wants {}", name,
                                   to_string(source.spec(name)), to_string(found->second)));
    if (found != wanted.end()) wanted.erase(found);
  }
  for (const auto& [name, spec] : wanted)
    faults.push_back(fmt::format("tensor {} {} is missing", name, to_string(spec)));
  std::string all;
  for (size_t i = 0; i < std::min(kMost, faults.size()); ++i)
    all += fmt::format("{}{}: {}", i ? "\n" : "", printable(source.path().string()), faults[i]);
  if (faults.size() > kMost) all += fmt::format("\n... and {} more", faults.size() - kMost);
  if (!all.empty()) throw CheckpointError(all);
}

}  // namespace birkhoff
