#include "engine/exchange/hf_config.h"

#include <algorithm>

#include "base/error.h"
#include "engine/config/choices.h"
#include "engine/exchange/hf_fields.h"
#include "engine/exchange/hf_rope.h"
#include "engine/exchange/hf_tokenizer.h"

namespace birkhoff {
namespace {

using nlohmann::json;

constexpr std::string_view kModelType = "deepseek_v3";
constexpr std::string_view kArchitecture = "DeepseekV3ForCausalLM";
constexpr int64_t kHfGroups = 8, kHfActiveGroups = 4;  // for a config that says nothing

// Keys that do not affect what a forward pass computes: about training elsewhere, generation or
// files.
constexpr const char* kNeutral[] = {"_attn_implementation",
                                    "_attn_implementation_autoset",
                                    "_name_or_path",
                                    "auto_map",
                                    "aux_loss_alpha",
                                    "chunk_size_feed_forward",
                                    "dtype",
                                    "ep_size",
                                    "id2label",
                                    "label2id",
                                    "output_attentions",
                                    "output_hidden_states",
                                    "output_router_logits",
                                    "pretraining_tp",
                                    "problem_type",
                                    "return_dict",
                                    "router_aux_loss_coef",
                                    "seq_aux",
                                    "tokenizer_class",
                                    "torch_dtype",
                                    "transformers_version",
                                    "use_cache"};

class Reader : public HfFields {
 public:
  using HfFields::HfFields;

  // Reads nothing else of another kind of model.
  HfModel read() {
    only("model_type", kModelType, false, "only deepseek_v3 is supported");
    if (!faults().empty()) return hf_;
    shape();
    experts();
    rope();
    features();
    hf_.special = hf_special_tokens(fields());
    beside_the_model();
    for (const char* key : kNeutral) find(key);
    if (faults().empty()) done();
    return hf_;
  }

 private:
  void shape() {
    ModelConfig& m = hf_.model;
    m.residual = ResidualKind::plain;
    m.vocab = count("vocab_size"), m.dim = count("hidden_size");
    m.layers = count("num_hidden_layers"), m.heads = count("num_attention_heads");
    m.dense_layers = std::min(m.layers, count("first_k_dense_replace"));
    m.nope_dim = count("qk_nope_head_dim"), m.rope_dim = count("qk_rope_head_dim");
    m.v_dim = count("v_head_dim"), m.kv_rank = count("kv_lora_rank");
    const json* q_rank = find("q_lora_rank");
    if (!q_rank || *q_rank == 0)
      fault("q_lora_rank", q_rank, "must be the width of the query latent, or null");
    m.q_rank = count_or("q_lora_rank", 0);
    m.dense_ffn_dim = count("intermediate_size");
    if (m.dense_ffn_dim == 0)
      fault("intermediate_size", find("intermediate_size"), "must be 1 or more");
    m.norm_eps = real("rms_norm_eps"), m.kv_norm_eps = kHfKvNormEps;
    if (find("initializer_range")) m.init_std = real("initializer_range");
    hf_.positions = count("max_position_embeddings");
  }

  void experts() {
    MoeConfig& m = hf_.moe;
    m.experts = count("n_routed_experts"), m.active = count("num_experts_per_tok");
    m.shared = count("n_shared_experts"), m.expert_dim = count("moe_intermediate_size");
    m.scaling = real("routed_scaling_factor"), m.normalise = flag("norm_topk_prob");
    if (m.shared == 0) fault("n_shared_experts", find("n_shared_experts"), "must be 1 or more");
    groups();
  }

  // Omitted keys have the values that transformers assumes.
  void groups() {
    MoeConfig& m = hf_.moe;
    const json *groups = find("n_group"), *active = find("topk_group");
    m.groups = groups ? count("n_group") : kHfGroups;
    m.active_groups = active ? count("topk_group") : kHfActiveGroups;
    if (m.groups < 1 || m.experts % m.groups != 0)
      fault("n_group", groups,
            fmt::format("must divide n_routed_experts ({}); if left out, it is {}", m.experts,
                        kHfGroups));
    else if (m.active_groups < 1 || m.active_groups > m.groups)
      fault("topk_group", active,
            fmt::format("must be from 1 to n_group ({}); if left out, it is {}", m.groups,
                        kHfActiveGroups));
    else if (m.active > m.active_groups * (m.experts / m.groups))
      fault("num_experts_per_tok", find("num_experts_per_tok"),
            fmt::format("must be at most {}, the number of experts in topk_group ({}) groups",
                        m.active_groups * (m.experts / m.groups), m.active_groups));
  }

  void rope() {
    read_hf_rope(*this, hf_.positions, hf_.model);
    if (find("rope_interleave")) hf_.interleaved = flag("rope_interleave");
  }

  void features() {
    const ModelConfig& m = hf_.model;
    only("architectures", json::array({kArchitecture}), true,
         "only DeepseekV3ForCausalLM is supported");
    only_or_null("num_key_value_heads", m.heads, "must equal num_attention_heads");
    only_or_null("head_dim", m.rope_dim, "must equal qk_rope_head_dim, from which it is derived");
    only_or_null("qk_head_dim", m.nope_dim + m.rope_dim,
                 "must equal qk_nope_head_dim + qk_rope_head_dim, from which it is derived");
    only_or_null("num_local_experts", hf_.moe.experts, "must equal n_routed_experts");
    only("hidden_act", "silu", true, "only silu is supported");
    only("scoring_func", "sigmoid", true, "only sigmoid is supported");
    only("topk_method", "noaux_tc", true, "only noaux_tc is supported");
    only("moe_layer_freq", 1, true,
         "must be 1, because every layer after the dense ones has experts");
    only("attention_bias", false, true,
         "must be false, because projections with a bias are not supported");
    only("mlp_bias", false, true,
         "must be false, because projections with a bias are not supported");
    only_or_null("attention_dropout", 0.0, "must be 0, because dropout is not supported");
    only("is_encoder_decoder", false, true, "must be false");
  }

  // What does not change the function, but says which tensors exist, and of what kind.
  void beside_the_model() {
    if (find("tie_word_embeddings")) hf_.tied = flag("tie_word_embeddings");
    hf_.mtp_layers = count_or("num_nextn_predict_layers", 0);
    const json* renamed = find("num_mtp_layers");  // by transformers 5
    const int64_t layers = count_or("num_mtp_layers", hf_.mtp_layers);
    if (hf_.mtp_layers != 0 && layers != hf_.mtp_layers)
      fault("num_mtp_layers", renamed, "contradicts num_nextn_predict_layers");
    hf_.mtp_layers = layers;
    hf_.blocks = read_hf_blocks(*this);
  }

  HfModel hf_;
};

// What transformers would compute differently from this config.
std::vector<std::string> export_faults(const Config& c, bool allow_kv_norm_eps) {
  std::vector<std::string> faults;
  const ModelConfig& m = c.model;
  if (m.residual != ResidualKind::plain)
    faults.push_back(
        fmt::format("model.residual is {}: transformers' DeepseekV3 has one residual stream and "
                    "no mixing of streams; only plain models can be exported",
                    name(m.residual)));
  if (m.kv_norm_eps != kHfKvNormEps && !allow_kv_norm_eps)
    faults.push_back(
        fmt::format("model.kv_norm_eps is {}: transformers always uses {}; train with that value, "
                    "or accept the difference with --allow-kv-norm-eps",
                    m.kv_norm_eps, kHfKvNormEps));
  if (m.dense_layers < m.layers && c.moe.shared < 1)
    faults.emplace_back("moe.shared is 0: transformers' DeepseekV3 always has shared experts");
  if (m.dense_layers < m.layers && c.moe.experts < 2)
    faults.emplace_back(
        "moe.experts is 1: transformers' DeepseekV3 needs two or more routed experts");
  else if (m.dense_layers < m.layers && c.moe.experts < 2 * c.moe.groups)
    faults.push_back(
        fmt::format("moe.groups is {}: transformers' DeepseekV3 needs two or more experts in each "
                    "group, but there are {} in all",
                    c.moe.groups, c.moe.experts));
  return faults;
}

std::string lines(const std::vector<std::string>& texts, std::string_view place) {
  std::string all;
  for (const std::string& text : texts)
    all += fmt::format("{}{}{}", all.empty() ? "" : "\n", place, text);
  return all;
}

}  // namespace

HfModel parse_hf_config(std::string_view text, std::string_view place) {
  const std::string front = printable(place) + ": ";
  try {
    const json tree = parse_json(text, {.bytes = kMaxHfConfig, .depth = 8});
    Reader reader(tree);
    HfModel hf = reader.read();
    if (!reader.faults().empty()) throw ConfigError(lines(reader.faults(), front));
    return hf;
  } catch (const JsonError& e) {
    throw CheckpointError(front + e.what());
  }
}

std::string hf_config_text(const Config& c, DType dtype, bool allow_kv_norm_eps,
                           const SpecialTokens& special) {
  const std::vector<std::string> faults = export_faults(c, allow_kv_norm_eps);
  if (!faults.empty()) throw ConfigError(lines(faults, ""));
  const ModelConfig& m = c.model;
  nlohmann::ordered_json j;
  j["architectures"] = {kArchitecture};
  j["model_type"] = kModelType;
  j["vocab_size"] = m.vocab;
  j["hidden_size"] = m.dim;
  j["num_hidden_layers"] = m.layers;
  j["first_k_dense_replace"] = m.dense_layers;
  j["num_attention_heads"] = m.heads;
  j["num_key_value_heads"] = m.heads;
  j["q_lora_rank"] = m.q_rank ? nlohmann::ordered_json(m.q_rank) : nullptr;
  j["kv_lora_rank"] = m.kv_rank;
  j["qk_nope_head_dim"] = m.nope_dim;
  j["qk_rope_head_dim"] = m.rope_dim;
  j["v_head_dim"] = m.v_dim;
  j["intermediate_size"] = dense_ffn_width(c);
  j["moe_intermediate_size"] = c.moe.expert_dim;
  j["n_routed_experts"] = c.moe.experts;
  j["num_experts_per_tok"] = c.moe.active;
  j["n_shared_experts"] = std::max<int64_t>(1, c.moe.shared);  // 0 only if no layer has experts
  j["n_group"] = c.moe.groups;
  j["topk_group"] = c.moe.active_groups;
  j["topk_method"] = "noaux_tc";
  j["scoring_func"] = "sigmoid";
  j["norm_topk_prob"] = c.moe.normalise;
  j["routed_scaling_factor"] = c.moe.scaling;
  j["hidden_act"] = "silu";
  j["rms_norm_eps"] = m.norm_eps;
  j["rope_theta"] = m.rope_theta;
  j["rope_scaling"] = hf_rope_scaling(m);
  j["rope_interleave"] = true;
  j["max_position_embeddings"] = c.train.sequence;
  j["attention_bias"] = false;
  j["attention_dropout"] = 0.0;
  j["initializer_range"] = m.init_std;
  j["num_nextn_predict_layers"] = 0;
  j["tie_word_embeddings"] = false;
  write_hf_special_tokens(special, j);
  j["torch_dtype"] = dtype == DType::bf16 ? "bfloat16" : "float32";
  j["use_cache"] = true;
  return j.dump(2) + "\n";
}

}  // namespace birkhoff
