#include "engine/train/hf_extras.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "engine/nn/rotary.h"

namespace birkhoff {
namespace {

constexpr std::string_view kLayers = "model.layers.", kFrequencies = "rotary_emb.inv_freq";

// The layer's number in "model.layers.7.mlp.gate.weight"; none in other names.
std::optional<int64_t> layer_of(std::string_view name) {
  if (!name.starts_with(kLayers)) return std::nullopt;
  int64_t layer = 0;
  const char *begin = name.data() + kLayers.size(), *end = name.data() + name.size();
  const auto [after, error] = std::from_chars(begin, end, layer);
  if (error != std::errc() || after == end || *after != '.' || layer < 0) return std::nullopt;
  return layer;
}

bool is_plain(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; }

// How far a stored frequency may be from the exact one. In f32 some ten operations made it, of
// which the power multiplies the rounding of its exponent by ln(theta), and yarn's ramp multiplies
// that of 1 − r by the frequency before the division; afterwards it may have been rounded once to a
// narrower type.
double frequency_error(double exact, double plain, DType stored) {
  const double made = 0x1p-19 * exact + 0x1p-23 * plain;
  if (stored == DType::bf16) return made + 0x1p-9 * exact;
  if (stored == DType::f16) return made + std::max(0x1p-12 * exact, 0x1p-25);
  return made;
}

}  // namespace

HfExtras::HfExtras(const HfModel& model, const HfWeights& weights)
    : model_(model), weights_(weights) {
  for (const auto& [name, tensor] : weights_.tensors()) sort_in(name);
}

const HfTensor* HfExtras::find(const std::string& name) const {
  const auto found = weights_.tensors().find(name);
  return found == weights_.tensors().end() ? nullptr : &found->second;
}

void HfExtras::sort_in(const std::string& name) {
  const int64_t layers = model_.model.layers, layer = layer_of(name).value_or(0);
  if (layer >= layers && layer - layers < model_.mtp_layers) {
    ++predictors_[layer];
    return;
  }
  if (name == fmt::format("model.{}", kFrequencies) ||
      (layer < layers && name == fmt::format("{}{}.self_attn.{}", kLayers, layer, kFrequencies))) {
    frequencies_.push_back(name);
    return;
  }
  if (name.ends_with(kScaleSuffix)) {
    const HfTensor* weight = find(name.substr(0, name.size() - kScaleSuffix.size()));
    if (weight && weight->spec.dtype == DType::f8_e4m3) return;
  }
  others_.push_back(name);
}

std::vector<std::string> HfExtras::faults() const {
  std::vector<std::string> all;
  // Faults of one kind mostly have one cause, so the first says enough.
  const auto add_first = [&](const auto& range, auto&& fault_of) {
    for (const auto& each : range)
      if (std::string fault = fault_of(each); !fault.empty()) return all.push_back(fault);
  };
  add_first(predictors_, [&](const auto& layer) { return predictor_fault(layer.first); });
  add_first(frequencies_, [&](const std::string& name) { return frequency_fault(name); });
  add_first(others_, [&](const std::string& name) { return scale_fault(name); });
  if (std::string fault = tie_fault(); !fault.empty()) all.push_back(fault);
  return all;
}

std::string HfExtras::left_out() const {
  size_t predicting = 0;
  for (const auto& [layer, tensors] : predictors_) predicting += tensors;
  std::string all;
  if (predicting)
    all = fmt::format("{} tensors of {} layer{} for multi-token prediction", predicting,
                      predictors_.size(), predictors_.size() > 1 ? "s" : "");
  if (!frequencies_.empty())
    all += fmt::format("{}{} {} that agree with config.json", all.empty() ? "" : " and ",
                       frequencies_.size(), kFrequencies);
  return all;
}

// A layer for multi-token prediction is recognised by the projection that joins two states into
// one.
std::string HfExtras::predictor_fault(int64_t layer) const {
  const std::string name = fmt::format("{}{}.eh_proj.weight", kLayers, layer);
  const Shape wanted = {model_.model.dim, 2 * model_.model.dim};
  const HfTensor* join = find(name);
  if (join && join->spec.shape == wanted) return "";
  return fmt::format(
      "layer {} is not one of the {} of num_hidden_layers, and not for multi-token prediction: it "
      "has no eh_proj.weight {}",
      layer, model_.model.layers, to_string(wanted));
}

std::string HfExtras::frequency_fault(const std::string& name) const {
  const HfTensor& tensor = *find(name);
  const Rope::Desc rule = nn::rotary(model_.model, 1);
  Rope::Desc plain = rule;
  plain.factor = 1;
  const Shape wanted = {rule.dims / 2};
  if (!is_plain(tensor.spec.dtype) || tensor.spec.shape != wanted)
    return fmt::format("tensor {} is {}, but its config needs f32{}", name, to_string(tensor.spec),
                       to_string(wanted));
  std::vector<float> values(size_t(rule.dims / 2));
  weights_.read(tensor, values);
  for (size_t i = 0; i < values.size(); ++i) {
    const double exact = rope_frequency(rule, int64_t(i));
    const double most =
        frequency_error(exact, rope_frequency(plain, int64_t(i)), tensor.spec.dtype);
    if (!(std::abs(double(values[i]) - exact) <= most))
      return fmt::format("tensor {} has {} at {}, but rope_theta and rope_scaling give {}", name,
                         values[i], i, float(exact));
  }
  return "";
}

std::string HfExtras::scale_fault(const std::string& name) const {
  const TensorSpec& spec = find(name)->spec;
  if (spec.dtype != DType::f8_e4m3) return "";
  const std::string front = fmt::format("tensor {} is {}", name, to_string(spec));
  if (model_.blocks.rows == 0) return front + ", but config.json has no quantization_config";
  if (spec.shape.size() != 2) return front + ", but only matrices can have block scales";
  const std::string scale_name = name + std::string(kScaleSuffix);
  const HfTensor* scale = find(scale_name);
  const Shape wanted = scale_shape(spec.shape, model_.blocks);
  if (!scale)
    return fmt::format("{}, but its scales {} f32{} are missing", front, scale_name,
                       to_string(wanted));
  if (!is_plain(scale->spec.dtype) || scale->spec.shape != wanted)
    return fmt::format("{}, but its scales {} are {}, not f32{}", front, scale_name,
                       to_string(scale->spec), to_string(wanted));
  return "";
}

std::string HfExtras::tie_fault() const {
  constexpr size_t kAtOnce = size_t(1) << 20;  // elements
  const HfTensor *head = find(kHfHead), *embedding = find(kHfEmbedding);
  if (!model_.tied || !head || !embedding) return "";
  const std::string front = fmt::format("tie_word_embeddings is true, but tensor {}", kHfHead);
  if (head->spec.shape != embedding->spec.shape || !is_plain(head->spec.dtype) ||
      !is_plain(embedding->spec.dtype))
    return fmt::format("{} is {} and {} is {}", front, to_string(head->spec), kHfEmbedding,
                       to_string(embedding->spec));
  const auto size = size_t(head->spec.count());
  std::vector<float> a(std::min(kAtOnce, size)), b(a.size());
  for (size_t at = 0; at < size; at += kAtOnce) {
    const size_t n = std::min(kAtOnce, size - at);
    weights_.read(*head, std::span(a).first(n), at);
    weights_.read(*embedding, std::span(b).first(n), at);
    for (size_t i = 0; i < n; ++i)
      if (a[i] != b[i])
        return fmt::format("{} has {} at element {}, where {} has {}", front, a[i], at + i,
                           kHfEmbedding, b[i]);
  }
  return "";
}

}  // namespace birkhoff
