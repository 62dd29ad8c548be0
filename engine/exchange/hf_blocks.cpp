#include "engine/exchange/hf_blocks.h"

#include "base/error.h"

namespace birkhoff {
namespace {

using nlohmann::json;

// Keys that do not affect the weights: which modules are quantised shows in the tensors' dtypes,
// the format of scales in the dtypes of scales.
constexpr const char* kNeutral[] = {"scale_fmt", "modules_to_not_convert", "modules_to_convert",
                                    "ignored_layers", "dequantize"};

bool is_block(const json& value) {
  constexpr uint64_t kLargest = 1 << 20;
  if (!value.is_array() || value.size() != 2) return false;
  for (const json& side : value)
    if (!side.is_number_unsigned() || side.get<uint64_t>() < 1 || side.get<uint64_t>() > kLargest)
      return false;
  return true;
}

}  // namespace

HfBlocks read_hf_blocks(HfFields& fields) {
  constexpr const char* kKey = "quantization_config";
  const json* value = fields.find(kKey);
  if (!value || value->is_null()) return {};
  if (!value->is_object()) throw JsonError(fmt::format("{} is not an object", kKey));
  HfFields q(*value, kKey);
  HfBlocks blocks{128, 128};
  q.only("quant_method", "fp8", false, "only fp8 is supported; convert the weights to bf16 or f32");
  if (q.faults().empty()) {
    q.only("fmt", "e4m3", true, "only e4m3 is supported");
    q.only("activation_scheme", "dynamic", true, "only dynamic is supported");
    q.only("expert_dtype", "fp8", true, "only fp8 is supported");
    if (const json* size = q.find("weight_block_size")) {
      if (is_block(*size))
        blocks = {size->at(0).get<int64_t>(), size->at(1).get<int64_t>()};
      else
        q.fault("weight_block_size", size, "must be two sizes from 1 to 1048576");
    }
    for (const char* key : kNeutral) q.find(key);
    q.done();
  }
  fields.take_faults(q);
  return blocks;
}

Shape scale_shape(const Shape& weight, const HfBlocks& b) {
  return {(weight[0] + b.rows - 1) / b.rows, (weight[1] + b.columns - 1) / b.columns};
}

void scale_blocks(std::span<float> weight, const Shape& shape, std::span<const float> scale,
                  const HfBlocks& b) {
  const int64_t columns = shape[1], width = scale_shape(shape, b)[1];
  check(int64_t(weight.size()) == count(shape) &&
            int64_t(scale.size()) == count(scale_shape(shape, b)),
        "{} weights and {} scales for {}", weight.size(), scale.size(), to_string(shape));
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < columns; ++j)
      weight[size_t(i * columns + j)] *= scale[size_t(i / b.rows * width + j / b.columns)];
}

}  // namespace birkhoff
