// config.json of a DeepseekV3 model: what each key maps to, and each refusal.
#include "engine/exchange/hf_config.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace birkhoff {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

json golden(const std::string& name = "pairs") {
  const std::string folder = BIRKHOFF_SOURCE_DIR "/tests/golden/hf/" + name;
  return json::parse(read_file(folder + "/config.json", 10000));
}

HfModel parse(const json& j) { return parse_hf_config(j.dump(), "M/config.json"); }

template <class E>
std::string refusal(const json& j) {
  try {
    parse(j);
  } catch (const E& e) {
    EXPECT_THAT(e.what(), StartsWith("M/config.json: "));
    return e.what();
  }
  return "accepted";
}

TEST(HfConfig, MapsEveryKey) {
  const HfModel hf = parse(golden());
  EXPECT_EQ(hf.model, (ModelConfig{.vocab = 11,
                                   .dim = 8,
                                   .layers = 3,
                                   .dense_layers = 1,
                                   .heads = 2,
                                   .nope_dim = 3,
                                   .rope_dim = 4,
                                   .v_dim = 6,
                                   .kv_rank = 5,
                                   .rope_theta = 50,
                                   .dense_ffn_dim = 12,
                                   .norm_eps = 1e-3,
                                   .kv_norm_eps = 1e-6,
                                   .residual = ResidualKind::plain}));
  EXPECT_EQ(hf.moe, (MoeConfig{.experts = 4,
                               .active = 2,
                               .shared = 2,
                               .expert_dim = 5,
                               .scaling = 1.5,
                               .normalise = true}));
  EXPECT_EQ(hf.positions, 16);
  EXPECT_TRUE(hf.interleaved);
}

TEST(HfConfig, KeysThatMayBeLeftOutOrSaidOtherwise) {
  const HfModel hf = parse(golden());
  json j = golden();
  for (const char* key : {"architectures", "rope_scaling", "rope_interleave", "attention_bias",
                          "tie_word_embeddings", "hidden_act", "torch_dtype"})
    j.erase(key);
  EXPECT_EQ(parse(j), hf);
  // As transformers 5 writes it.
  j.erase("rope_theta");
  j["rope_parameters"] = {{"rope_theta", 50.0}, {"rope_type", "default"}};
  j["head_dim"] = 4, j["qk_head_dim"] = 7, j["num_key_value_heads"] = nullptr;
  j["attention_dropout"] = 0.0, j["scoring_func"] = "sigmoid", j["topk_method"] = "noaux_tc";
  j["moe_layer_freq"] = 1, j["num_nextn_predict_layers"] = 1, j["quantization_config"] = nullptr;
  j["transformers_version"] = "5.0.0", j["eos_token_id"] = {1, 2};
  HfModel with_predictor = hf;
  with_predictor.mtp_layers = 1;
  with_predictor.special.eos = {.ids = {1, 2}, .is_list = true};
  EXPECT_EQ(parse(j), with_predictor);

  j["rope_interleave"] = false, j["norm_topk_prob"] = false, j["initializer_range"] = 0.25;
  const HfModel other = parse(j);
  EXPECT_FALSE(other.interleaved || other.moe.normalise);
  EXPECT_EQ(other.model.init_std, 0.25);
  j["first_k_dense_replace"] = 50;  // more than the model has: all
  EXPECT_EQ(parse(j).model.dense_layers, 3);
}

// moonshotai/Moonlight-16B-A3B: every key of its config.json.
TEST(HfConfig, ReadsMoonlights) {
  const HfModel hf = parse(golden("moonlight"));
  EXPECT_EQ(hf.model, (ModelConfig{.vocab = 11,
                                   .dim = 8,
                                   .layers = 2,
                                   .dense_layers = 1,
                                   .heads = 2,
                                   .nope_dim = 3,
                                   .rope_dim = 6,
                                   .v_dim = 6,
                                   .kv_rank = 5,
                                   .rope_theta = 50000,
                                   .dense_ffn_dim = 12,
                                   .norm_eps = 1e-5,
                                   .kv_norm_eps = 1e-6,
                                   .residual = ResidualKind::plain,
                                   .init_std = 0.02}));
  EXPECT_EQ(hf.moe.scaling, 2.446);
  EXPECT_EQ(hf.positions, 8192);
  EXPECT_FALSE(hf.tied);
  EXPECT_EQ(hf.mtp_layers, 0);
  EXPECT_EQ(hf.blocks, HfBlocks());
}

// What yarn's keys mean to transformers if they are omitted, null or 0; and where they may stand.
TEST(HfConfig, ReadsYarn) {
  const json base = {{"type", "yarn"}, {"factor", 40}};
  const auto model_of = [](const json& scaling, const char* key = "rope_scaling") {
    json j = golden();
    j[key] = scaling;
    return parse(j).model;
  };
  ModelConfig want = parse(golden()).model;
  want.rope_scaling = RopeScaling::yarn, want.rope_factor = 40;
  want.rope_original_positions = 16;  // max_position_embeddings
  EXPECT_EQ(model_of(base), want);
  json j = base;
  j["beta_fast"] = nullptr, j["beta_slow"] = 0, j["mscale"] = nullptr, j["mscale_all_dim"] = 0;
  j["attention_factor"] = nullptr, j["original_max_position_embeddings"] = nullptr;
  j["truncate"] = true, j["rope_type"] = "yarn", j["rope_theta"] = 50;
  EXPECT_EQ(model_of(j), want);
  j.erase("type");
  EXPECT_EQ(model_of(j, "rope_parameters"), want);

  j = base;
  j["original_max_position_embeddings"] = 4096, j["beta_fast"] = 16, j["beta_slow"] = 2.5;
  j["mscale"] = 0.707, j["mscale_all_dim"] = 1, j["attention_factor"] = 1.5, j["truncate"] = false;
  want.rope_original_positions = 4096, want.rope_beta_fast = 16, want.rope_beta_slow = 2.5;
  want.rope_mscale = 0.707, want.rope_mscale_all_dim = 1, want.rope_attention_factor = 1.5;
  want.rope_truncate = false;
  EXPECT_EQ(model_of(j), want);

  json both = golden();  // in two places that agree, and that do not
  both["rope_scaling"] = j, both["rope_parameters"] = j;
  EXPECT_EQ(parse(both).model, want);
  both["rope_parameters"]["factor"] = 41;
  EXPECT_THAT(refusal<ConfigError>(both), HasSubstr("contradicts rope_parameters"));
  both["rope_parameters"] = {{"rope_type", "default"}};
  EXPECT_THAT(refusal<ConfigError>(both), HasSubstr("contradicts rope_parameters"));
}

TEST(HfConfig, ReadsWhatStandsBesideTheFunction) {
  json j = golden();
  j["tie_word_embeddings"] = true, j["num_nextn_predict_layers"] = 2;
  j["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {64, 32}}};
  HfModel want = parse(golden());
  want.tied = true, want.mtp_layers = 2, want.blocks = {64, 32};
  EXPECT_EQ(parse(j), want);
  // As DeepSeek-V3.1 and transformers write it.
  j["quantization_config"] = {{"quant_method", "fp8"},
                              {"fmt", "e4m3"},
                              {"activation_scheme", "dynamic"},
                              {"scale_fmt", "ue8m0"},
                              {"modules_to_not_convert", {"lm_head"}},
                              {"dequantize", false}};
  want.blocks = {128, 128};
  j.erase("num_nextn_predict_layers"), j["num_mtp_layers"] = 2;
  EXPECT_EQ(parse(j), want);
  j["num_nextn_predict_layers"] = 1;
  EXPECT_THAT(refusal<ConfigError>(j), HasSubstr("num_mtp_layers is 2"));
  j["num_nextn_predict_layers"] = nullptr;
  EXPECT_EQ(parse(j), want);
}

// Another kind of model is refused for its model_type alone.
TEST(HfConfig, RefusesAnotherKindOfModelInOneLine) {
  const std::string line = refusal<ConfigError>(
      {{"model_type", "llama"}, {"hidden_size", 8}, {"rope_scaling", {{"type", "linear"}}}});
  EXPECT_EQ(line, "M/config.json: model_type is \"llama\": only deepseek_v3 is supported");
}

TEST(HfConfig, RefusesWhatIsNotTheSameFunction) {
  const std::pair<const char*, json> kUnsupported[] = {
      {"q_lora_rank", 0},
      {"n_group", 8},
      {"topk_group", 4},
      {"rope_scaling", {{"rope_type", "default"}, {"factor", 2}}},
      {"rope_scaling", {{"factor", 2}}},
      {"rope_scaling", {{"type", "yarn"}, {"factor", 2}, {"partial_rotary_factor", 0.5}}},
      {"rope_scaling", {{"type", "yarn"}, {"factor", 2}, {"attention_factor", 0}}},
      {"rope_scaling", {{"type", "yarn"}, {"rope_type", "default"}, {"factor", 2}}},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 40}, {"alpha", 2}, {"beta", 3}}},
      {"rope_parameters", {{"rope_theta", 50.0}, {"rope_type", "linear"}, {"factor", 2}}},
      {"rope_parameters", {{"rope_theta", 51.0}}},
      {"attention_bias", true},
      {"mlp_bias", true},
      {"attention_dropout", 0.1},
      {"hidden_act", "gelu"},
      {"scoring_func", "softmax"},
      {"topk_method", "greedy"},
      {"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}}},
      {"quantization_config", {{"quant_method", "fp8"}, {"fmt", "e5m2"}}},
      {"quantization_config", {{"quant_method", "fp8"}, {"activation_scheme", "static"}}},
      {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", nullptr}}},
      {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {0, 128}}}},
      {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128}}}},
      {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {-1, 1 << 21}}}},
      {"quantization_config", {{"bits", 8}}},
      {"moe_layer_freq", 2},
      {"n_shared_experts", 0},
      {"intermediate_size", 0},
      {"num_key_value_heads", 1},
      {"head_dim", 8},
      {"qk_head_dim", 8},
      {"num_local_experts", 8},
      {"model_type", "deepseek_v2"},
      {"architectures", json::array({"DeepseekV2ForCausalLM"})},
      {"is_encoder_decoder", true}};
  for (const auto& [key, value] : kUnsupported) {
    json j = golden();
    j[key] = value;
    const std::string line = refusal<ConfigError>(j);
    EXPECT_THAT(line, HasSubstr(key)) << value;
    EXPECT_THAT(line, HasSubstr(" is "));
    EXPECT_EQ(line.find("accepted"), line.npos) << key << " " << value;
    EXPECT_EQ(line.find('\n'), line.npos) << line;
  }
  // If they are omitted, transformers takes 1536, 8 and 4.
  for (const char* key : {"q_lora_rank", "n_group", "topk_group", "model_type"}) {
    json j = golden();
    j.erase(key);
    EXPECT_THAT(refusal<ConfigError>(j), HasSubstr(std::string(key) + " is missing"));
  }
}

TEST(HfConfig, ExpertGroups) {
  json j = golden();
  j["n_routed_experts"] = 16, j["num_experts_per_tok"] = 3;
  const auto groups_of = [](const json& config) {
    const MoeConfig moe = parse(config).moe;
    return std::pair(moe.groups, moe.active_groups);
  };
  EXPECT_EQ(groups_of(j), std::pair(int64_t(1), int64_t(1)));
  j["n_group"] = 4, j["topk_group"] = 3;
  EXPECT_EQ(groups_of(j), std::pair(int64_t(4), int64_t(3)));
  // What transformers assumes if a config says nothing.
  j.erase("n_group"), j.erase("topk_group");
  EXPECT_EQ(groups_of(j), std::pair(int64_t(8), int64_t(4)));
  // Such groups do not exist, or have too few experts to choose from.
  const auto refused = [&](int64_t groups, int64_t active_groups, int64_t active) {
    j["n_group"] = groups, j["topk_group"] = active_groups, j["num_experts_per_tok"] = active;
    return refusal<ConfigError>(j);
  };
  EXPECT_THAT(refused(3, 1, 1), HasSubstr("n_group is 3: must divide n_routed_experts (16)"));
  EXPECT_THAT(refused(0, 1, 1), HasSubstr("n_group is 0: "));
  EXPECT_THAT(refused(4, 0, 1), HasSubstr("topk_group is 0: must be from 1 to n_group (4)"));
  EXPECT_THAT(refused(4, 5, 1), HasSubstr("topk_group is 5: must be from 1 to n_group (4)"));
  EXPECT_THAT(refused(8, 2, 5), HasSubstr("num_experts_per_tok is 5: must be at most 4"));
  EXPECT_EQ(refused(8, 2, 4), "accepted");
}

TEST(HfConfig, ALineForEachThing) {
  json j = golden();
  j["q_lora_rank"] = 0, j["attention_bias"] = true, j["hidden_act"] = "gelu\n\x1b[2J";
  const std::string lines = refusal<ConfigError>(j);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2) << lines;
  EXPECT_THAT(lines, AllOf(HasSubstr("q_lora_rank is 0: "), HasSubstr("attention_bias is true: "),
                           HasSubstr("\"gelu\\n")));
}

TEST(HfConfig, RefusesWhatIsDamaged) {
  const auto damaged = [](const char* key, const json& value) {
    json j = golden();
    j[key] = value;
    return refusal<CheckpointError>(j);
  };
  EXPECT_THAT(damaged("hidden_size", -8), HasSubstr("hidden_size"));
  EXPECT_THAT(damaged("hidden_size", 8.0), HasSubstr("hidden_size"));
  EXPECT_THAT(damaged("hidden_size", uint64_t(1) << 40), HasSubstr("hidden_size"));
  EXPECT_THAT(damaged("rms_norm_eps", "1e-6"), HasSubstr("rms_norm_eps is not a finite number"));
  EXPECT_THAT(damaged("norm_topk_prob", 1), HasSubstr("norm_topk_prob is not true or false"));
  EXPECT_THAT(damaged("rope_scaling", 4), HasSubstr("rope_scaling is not an object"));
  EXPECT_THAT(damaged("use_qk_norm", true), HasSubstr("unknown field 'use_qk_norm'"));
  EXPECT_THAT(damaged("tie_word_embeddings", 1), HasSubstr("tie_word_embeddings is not true or"));
  EXPECT_THAT(damaged("num_nextn_predict_layers", -1), HasSubstr("num_nextn_predict_layers"));
  EXPECT_THAT(damaged("rope_scaling", {{"type", "yarn"}, {"factor", "40"}}),
              HasSubstr("rope_scaling.factor is not a finite number"));
  EXPECT_THAT(damaged("rope_scaling", {{"type", "yarn"}}),
              HasSubstr("rope_scaling has no field 'factor'"));
  EXPECT_THAT(damaged("rope_scaling", {{"type", "yarn"}, {"factor", 2}, {"truncate", 1}}),
              HasSubstr("rope_scaling.truncate is not true or false"));
  EXPECT_THAT(damaged("quantization_config", 8), HasSubstr("quantization_config is not an object"));
  EXPECT_THAT(damaged("quantization_config", {{"quant_method", "fp8"}, {"zero_point", 1}}),
              HasSubstr("quantization_config has an unknown field 'zero_point'"));
  const json whole = golden();
  for (const auto& [key, value] : whole.items()) {
    json j = golden();
    j.erase(key);
    try {
      parse(j);
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr(key));
    }
  }
  for (const char* text : {"", "{", "[]", "7", "{\"a\": 1, \"a\": 2}"})
    EXPECT_THROW(parse_hf_config(text, "M"), CheckpointError) << text;
  EXPECT_THROW(parse_hf_config(std::string(kMaxHfConfig + 1, ' '), "M"), CheckpointError);
}

Config exportable() {
  Config c;
  c.model = parse(golden()).model;
  c.moe = parse(golden()).moe;
  c.train.sequence = 16;
  return c;
}

TEST(HfConfig, WhatIsWrittenIsReadBack) {
  Config c = exportable();
  for (const double eps : {1e-20, 1e-3, 0.1}) {
    c.model.norm_eps = eps;
    const std::string text = hf_config_text(c, DType::f32);
    const HfModel hf = parse_hf_config(text, "W");
    EXPECT_EQ(hf.model, c.model);
    EXPECT_EQ(hf.moe, c.moe);
    EXPECT_EQ(hf.positions, 16);
    EXPECT_TRUE(hf.interleaved);
  }
  c.model.q_rank = 7;
  EXPECT_EQ(parse_hf_config(hf_config_text(c, DType::f32), "W").model, c.model);
  c.model.rope_scaling = RopeScaling::yarn, c.model.rope_factor = 40;
  c.model.rope_original_positions = 4096, c.model.rope_mscale = 0.707;
  EXPECT_EQ(parse_hf_config(hf_config_text(c, DType::f32), "W").model, c.model);
  EXPECT_EQ(json::parse(hf_config_text(c, DType::f32))["rope_scaling"],
            (json{{"type", "yarn"},
                  {"rope_type", "yarn"},
                  {"factor", 40.0},
                  {"original_max_position_embeddings", 4096},
                  {"beta_fast", 32.0},
                  {"beta_slow", 1.0},
                  {"mscale", 0.707}}));
  c.model.rope_mscale_all_dim = 1, c.model.rope_attention_factor = 1.25;
  c.model.rope_truncate = false, c.model.rope_beta_fast = 20, c.model.rope_beta_slow = 3;
  EXPECT_EQ(parse_hf_config(hf_config_text(c, DType::f32), "W").model, c.model);
  c.moe.experts = 12, c.moe.groups = 6, c.moe.active_groups = 5;
  EXPECT_EQ(parse_hf_config(hf_config_text(c, DType::f32), "W").moe, c.moe);
  c = exportable();
  c.model.dense_ffn_dim = 0;  // 8 × moe.expert_dim
  EXPECT_EQ(parse_hf_config(hf_config_text(c, DType::f32), "W").model.dense_ffn_dim, 40);
  EXPECT_EQ(json::parse(hf_config_text(c, DType::f32))["torch_dtype"], "float32");
  EXPECT_EQ(json::parse(hf_config_text(c, DType::bf16))["torch_dtype"], "bfloat16");
}

TEST(HfConfig, ExportIsRefusedWhereTransformersComputesOtherwise) {
  const auto told = [](const Config& c, bool allow = false) -> std::string {
    try {
      hf_config_text(c, DType::f32, allow);
      return "written";
    } catch (const ConfigError& e) {
      return e.what();
    }
  };
  Config c = exportable();
  EXPECT_EQ(told(c), "written");
  c.model.residual = ResidualKind::mhc;
  EXPECT_THAT(told(c), AllOf(StartsWith("model.residual is mhc: "), HasSubstr("only plain")));
  c = exportable(), c.model.kv_norm_eps = 1e-20;
  EXPECT_THAT(told(c), AllOf(HasSubstr("kv_norm_eps is 1e-20"), HasSubstr("1e-06"),
                             HasSubstr("--allow-kv-norm-eps")));
  EXPECT_EQ(told(c, true), "written");
  c = exportable(), c.moe.shared = 0;
  EXPECT_THAT(told(c), HasSubstr("moe.shared is 0"));
  c.model.dense_layers = c.model.layers;  // no layer has experts
  EXPECT_EQ(told(c), "written");
  c = exportable(), c.moe.experts = 1;
  EXPECT_THAT(told(c), HasSubstr("moe.experts is 1"));
  c = exportable(), c.moe.groups = c.moe.experts, c.moe.active_groups = 2;
  EXPECT_THAT(told(c), HasSubstr("moe.groups is 4"));
  c.moe.groups = 2;
  EXPECT_EQ(told(c), "written");
}

}  // namespace
}  // namespace birkhoff
