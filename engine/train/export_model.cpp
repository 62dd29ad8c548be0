#include "engine/train/export_model.h"

#include <cstring>

#include "engine/checkpoint/checkpoint.h"
#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_tokenizer.h"
#include "engine/exchange/hf_write.h"
#include "engine/train/load_model.h"
#include "engine/train/model_tensors.h"

namespace birkhoff {
namespace {

void read_bf16(const Checkpoint& checkpoint, const HfWrite::Tensor& tensor,
               std::span<std::byte> bytes) {
  std::vector<float> values(size_t(tensor.spec.count()));
  checkpoint.read(tensor.name, {tensor.spec.shape, DType::f32},
                  std::as_writable_bytes(std::span(values)));
  for (size_t i = 0; i < values.size(); ++i) {
    const bf16 rounded = to_bf16(values[i]);
    std::memcpy(bytes.data() + i * sizeof rounded, &rounded, sizeof rounded);
  }
}

}  // namespace

size_t export_model(const ExportOptions& o) {
  const Checkpoint checkpoint = open_checkpoint(o.source);
  const Config config = config_of(checkpoint);
  ModelTokenizer tokenizer = checkpoint.tokenizer();
  const SpecialTokens special = tokenizer.identity ? tokenizer.identity->special : SpecialTokens();
  HfWrite model{.config = hf_config_text(config, o.dtype, o.allow_kv_norm_eps, special),
                .generation = special == SpecialTokens() ? "" : hf_generation_text(special),
                .tokenizer_json = std::move(tokenizer.json)};
  for (const ModelTensor& t : model_tensors(config)) {
    // A balancing bias moves by steps of moe.bias_speed, which would be lost in bf16.
    model.tensors.push_back({t.part.name, {t.part.shape, t.is_trained ? o.dtype : DType::f32}});
  }
  size_t done = 0, total = 0;
  for (const HfWrite::Tensor& tensor : model.tensors) total += tensor.spec.bytes();
  model.read = [&](const HfWrite::Tensor& tensor, std::span<std::byte> bytes) {
    if (tensor.spec.dtype == DType::f32)
      checkpoint.read(tensor.name, tensor.spec, bytes);
    else
      read_bf16(checkpoint, tensor, bytes);
    o.progress(done += bytes.size(), total);
  };
  model.shard_bytes = o.shard_bytes;
  write_hf(o.out, model);
  return model.tensors.size();
}

}  // namespace birkhoff
