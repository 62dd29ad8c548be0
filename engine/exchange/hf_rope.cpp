#include "engine/exchange/hf_rope.h"

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace birkhoff {
namespace {

using nlohmann::json;

// What transformers assumes where a config has no value, null or 0.
constexpr double kBetaFast = 32, kBetaSlow = 1;

double nonzero_or(HfFields& scaling, const char* key, double otherwise) {
  const double value = scaling.real_or(key, otherwise);
  return value == 0 ? otherwise : value;
}

void read_yarn(HfFields& scaling, int64_t positions, ModelConfig& m) {
  m.rope_scaling = RopeScaling::yarn;
  m.rope_factor = scaling.real("factor");
  m.rope_original_positions = scaling.count_or("original_max_position_embeddings", positions);
  m.rope_beta_fast = nonzero_or(scaling, "beta_fast", kBetaFast);
  m.rope_beta_slow = nonzero_or(scaling, "beta_slow", kBetaSlow);
  m.rope_mscale = scaling.real_or("mscale", 0);
  m.rope_mscale_all_dim = scaling.real_or("mscale_all_dim", 0);
  m.rope_attention_factor = scaling.real_or("attention_factor", 0);
  if (const json* given = scaling.find("attention_factor");
      given && !given->is_null() && m.rope_attention_factor <= 0)
    scaling.fault("attention_factor", given, "must be above 0, or left out");
  m.rope_truncate = scaling.find("truncate") ? scaling.flag("truncate") : true;
}

constexpr const char* kYarnKeys[] = {"factor",           "original_max_position_embeddings",
                                     "beta_fast",        "beta_slow",
                                     "mscale",           "mscale_all_dim",
                                     "attention_factor", "truncate"};

// Reads one of the two objects: its type is in rope_type or, under the older name, in `type`.
void read_object(HfFields& scaling, const json& object, int64_t positions, ModelConfig& m) {
  std::optional<std::string> type;
  for (const char* key : {"rope_type", "type"}) {
    const json* value = scaling.find(key);
    if (!value) continue;
    if (*value != "default" && *value != "yarn")
      return scaling.fault(key, value, "only default and yarn are supported");
    if (type && *type != *value)
      return scaling.fault(key, value, fmt::format("contradicts rope_type, which is {}", *type));
    type = value->get<std::string>();
  }
  const bool yarn = type == "yarn";
  for (const auto& [key, value] : object.items()) {
    const bool known =
        key == "rope_type" || key == "type" || key == "rope_theta" ||
        (yarn && std::find(std::begin(kYarnKeys), std::end(kYarnKeys), key) != std::end(kYarnKeys));
    if (!known)
      return scaling.fault(
          key, &value,
          yarn ? "not a supported key of yarn"
               : "not a key of the default type, which does not scale rotary positions");
  }
  if (yarn) read_yarn(scaling, positions, m);
}

}  // namespace

void read_hf_rope(HfFields& fields, int64_t positions, ModelConfig& model) {
  std::optional<double> theta;
  const auto take = [&](HfFields& from) {
    const json* value = from.find("rope_theta");
    if (!value) return;
    const double x = HfFields::real(*value, from.name("rope_theta"));
    if (theta && *theta != x)
      from.fault("rope_theta", value,
                 fmt::format("contradicts another rope_theta, which is {}", *theta));
    theta = x;
  };
  take(fields);
  std::optional<ModelConfig> before;  // as the other object describes it
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const json* value = fields.find(key);
    if (!value || value->is_null()) continue;
    if (!value->is_object()) throw JsonError(fmt::format("{} is not an object", key));
    HfFields scaling(*value, key);
    take(scaling);
    ModelConfig own = model;
    read_object(scaling, *value, positions, own);
    if (scaling.faults().empty() && before && own != *before)
      fields.fault(key, value, "contradicts rope_parameters");
    fields.take_faults(scaling);
    before = own;
  }
  if (!theta) throw JsonError("it has no field 'rope_theta'");
  if (before) model = *before;
  model.rope_theta = *theta;
}

nlohmann::ordered_json hf_rope_scaling(const ModelConfig& m) {
  nlohmann::ordered_json j;
  if (m.rope_scaling == RopeScaling::none) return j;
  j["type"] = "yarn";  // the older name of rope_type
  j["rope_type"] = "yarn";
  j["factor"] = m.rope_factor;
  j["original_max_position_embeddings"] = m.rope_original_positions;
  j["beta_fast"] = m.rope_beta_fast;
  j["beta_slow"] = m.rope_beta_slow;
  if (m.rope_mscale != 0) j["mscale"] = m.rope_mscale;
  if (m.rope_mscale_all_dim != 0) j["mscale_all_dim"] = m.rope_mscale_all_dim;
  if (m.rope_attention_factor != 0) j["attention_factor"] = m.rope_attention_factor;
  if (!m.rope_truncate) j["truncate"] = false;
  return j;
}

}  // namespace birkhoff
