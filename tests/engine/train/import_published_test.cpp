// Published models, with every key of their config.json and their extra tensors
// (tests/golden/make_hf.py): what they compute, what is left out, and what is refused.
#include <gmock/gmock.h>

#include <cstring>

#include "engine/exchange/hf_config.h"
#include "engine/train/export_model.h"
#include "tests/engine/train/hf_directory.h"
#include "tests/engine/train/imported.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string kFrequencies = "model.layers.1.self_attn.rotary_emb.inv_freq";
const std::string kLatent = "model.layers.0.self_attn.kv_b_proj.weight";  // fp8 in deepseek_v3

// The bound of import_test.cpp, which has two sublayers more; fp8 weights are exact in f32.
TEST(Published, ModelsComputeWhatTheyComputed) {
  const Scratch scratch;
  for (const char* model : {"moonlight", "tied", "deepseek_v3"}) {
    const Expected e = expected(model);
    const Path path = imported(scratch, model, {.source = kGolden / model});
    EXPECT_LT(worst(log_probabilities(path, e.tokens), e.log_probability),
              128 * kEpsilon * e.largest)
        << model;
  }
}

TEST(Published, OneLineSaysWhatIsLeftOut) {
  const Scratch scratch;
  const auto passed_over = [&](const char* model) {
    return import_model({.source = kGolden / model, .out = scratch / model}).passed_over;
  };
  EXPECT_THAT(passed_over("moonlight"),
              EndsWith("moonlight: ignored 2 rotary_emb.inv_freq that agree with config.json"));
  // Of the layer: 9 of attention and its norms, router and bias, 39 of 13 experts, 6 of its own,
  // and the scales of 44 fp8 matrices.
  EXPECT_THAT(passed_over("deepseek_v3"),
              EndsWith("deepseek_v3: ignored 100 tensors of 1 layer for multi-token prediction"));
  EXPECT_EQ(passed_over("tied"), "");
  EXPECT_EQ(passed_over("pairs"), "");
}

// Every tensor goes back as it was stored: bf16 with the bits it came from, a tied head with the
// embedding's.
TEST(Published, Bf16GoesBackBitForBit) {
  const Scratch scratch;
  for (const char* model : {"moonlight", "tied"}) {
    const Path path = imported(scratch, model, {.source = kGolden / model});
    const Path out = scratch / (std::string(model) + "-back");
    export_model({.source = path, .out = out, .dtype = DType::bf16});
    HfDirectory before(kGolden / model);
    const HfDirectory after(out);
    std::erase_if(before.tensors,
                  [](const auto& t) { return t.first.ends_with("rotary_emb.inv_freq"); });
    if (before.config["tie_word_embeddings"])
      before.tensors["lm_head.weight"] = before.tensors.at("model.embed_tokens.weight");
    EXPECT_EQ(after.tensors.size(), before.tensors.size());
    for (const auto& [name, t] : before.tensors) {
      ASSERT_TRUE(after.tensors.contains(name)) << name;
      EXPECT_EQ(after.tensors.at(name).spec, t.spec) << name;
      EXPECT_EQ(after.tensors.at(name).bytes, t.bytes) << name;
    }
    EXPECT_EQ(after.config["tie_word_embeddings"], false);
  }
}

// fp8 comes back as f32, with the same function and the same weights.
TEST(Published, DeepSeekV3GoesBackAsTheSameModel) {
  const Scratch scratch;
  const Path first = imported(scratch, "first", {.source = kGolden / "deepseek_v3"});
  export_model({.source = first, .out = scratch / "back"});
  const Path again = imported(scratch, "again", {.source = scratch / "back"});
  EXPECT_EQ(weights_of(again), weights_of(first));
  EXPECT_EQ(config_of(Checkpoint::open(again)).model, config_of(Checkpoint::open(first)).model);
  EXPECT_EQ(config_of(Checkpoint::open(again)).moe, config_of(Checkpoint::open(first)).moe);
}

TEST(Published, AConfigThatClaimsTooMuchIsRefusedBeforeItIsListed) {
  const Scratch scratch;
  HfDirectory other(kGolden / "moonlight");
  other.config["num_hidden_layers"] = 4096, other.config["n_routed_experts"] = 65536;
  other.write(scratch / "hf");
  EXPECT_THAT(refusal<CheckpointError>({.source = scratch / "hf", .out = scratch / "out"}),
              HasSubstr("its config describes a model of "));
}

class Changed : public ::testing::Test {
 protected:
  HfDirectory moonlight{kGolden / "moonlight"}, v3{kGolden / "deepseek_v3"};
  const Scratch scratch;

  ImportOptions options(const HfDirectory& directory) const {
    directory.write(scratch / "hf");
    std::filesystem::remove_all(scratch / "out");
    return {.source = scratch / "hf", .out = scratch / "out"};
  }
  std::map<std::string, std::string> weights(const HfDirectory& directory) const {
    return weights_of(import_model(options(directory)).checkpoint);
  }
  // One line, and nothing is left behind.
  std::string refused(const HfDirectory& directory) const {
    const std::string line = refusal<CheckpointError>(options(directory));
    EXPECT_EQ(line.find('\n'), line.npos) << line;
    return line;
  }
};

TEST_F(Changed, FrequenciesMayBeRoundedAndStandElsewhere) {
  const auto want = weights(moonlight);
  const double exact[] = {1, std::pow(50000.0, -1.0 / 3), std::pow(50000.0, -2.0 / 3)};
  std::vector<bf16> narrow;
  std::vector<float> wide;
  for (const double f : exact)
    narrow.push_back(to_bf16(float(f))), wide.push_back(float(f) * (1 + 4 * 0x1p-23f));
  moonlight.set("model.rotary_emb.inv_freq", {3}, DType::bf16, narrow);
  moonlight.set(kFrequencies, {3}, DType::f32, wide);
  EXPECT_EQ(weights(moonlight), want);
  EXPECT_THAT(import_model(options(moonlight)).passed_over, HasSubstr("3 rotary_emb.inv_freq"));
}

TEST_F(Changed, FrequenciesMustFollowFromTheConfig) {
  const HfDirectory good = moonlight;
  moonlight.config["rope_theta"] = 50002.0;  // moves the last one by 2.7e-5
  EXPECT_THAT(refused(moonlight), HasSubstr("but rope_theta and rope_scaling give 0.0271438"));
  for (const auto& [shape, values] : {std::pair{Shape{3}, std::vector<float>{1, 0.0271f, 7.4e-4f}},
                                      {Shape{3}, {NAN, 0.02714418f, 0.000736806f}},
                                      {Shape{2}, {1, 0.02714418f}},
                                      {Shape{1, 3}, {1, 0.02714418f, 0.000736806f}}}) {
    moonlight = good;
    moonlight.set(kFrequencies, shape, DType::f32, values);
    EXPECT_THAT(refused(moonlight), HasSubstr("tensor " + kFrequencies)) << to_string(shape);
  }
  moonlight = good;
  moonlight.set("model.layers.2.self_attn.rotary_emb.inv_freq", {3}, DType::f32,
                std::vector<float>(3));
  EXPECT_THAT(refused(moonlight), HasSubstr("does not belong to this model"));
}

// Frequencies of yarn, as transformers makes them from DeepSeek-V3's keys at 8 features.
TEST_F(Changed, FrequenciesOfYarnAreChecked) {
  const std::vector<float> good = {1, 0.1f, 0.01f * (0.5f + 0.5f / 40), 0.001f / 40};
  v3.set(kFrequencies, {4}, DType::f32, good);
  EXPECT_THAT(import_model(options(v3)).passed_over, HasSubstr("1 rotary_emb.inv_freq"));
  v3.set(kFrequencies, {4}, DType::f32, std::vector<float>{1, 0.1f, 0.01f, 0.001f});
  EXPECT_THAT(refused(v3), AllOf(HasSubstr(kFrequencies), HasSubstr("has 0.01 at 2")));
}

TEST_F(Changed, LayersForMultiTokenPredictionAreKnownByTheirIndex) {
  const auto want = weights(v3);
  const HfDirectory good = v3;
  for (const auto& [name, t] : good.tensors)  // a second one
    if (name.starts_with("model.layers.2."))
      v3.tensors["model.layers.3." + name.substr(std::strlen("model.layers.2."))] = t;
  v3.config["num_nextn_predict_layers"] = 2;
  EXPECT_EQ(weights(v3), want);
  EXPECT_THAT(import_model(options(v3)).passed_over,
              HasSubstr("200 tensors of 2 layers for multi-token prediction"));
  v3.config["num_nextn_predict_layers"] = 1;
  EXPECT_THAT(refused(v3),
              HasSubstr("tensor model.layers.3.eh_proj.weight does not belong to this model"));
  v3 = good;
  v3.config["num_nextn_predict_layers"] = 0;
  EXPECT_THAT(refused(v3),
              HasSubstr("tensor model.layers.2.eh_proj.weight does not belong to this model"));
  // A layer of the model itself is not left out because a config has one too few.
  v3 = good;
  std::erase_if(v3.tensors, [](const auto& t) { return t.first.starts_with("model.layers.2."); });
  EXPECT_EQ(weights(v3), want);  // some files leave them out
  v3.config["num_hidden_layers"] = 1;
  EXPECT_THAT(
      refused(v3),
      HasSubstr(
          "layer 1 is not one of the 1 of num_hidden_layers, and not for multi-token prediction"));
}

TEST_F(Changed, ATiedHeadIsTheEmbedding) {
  moonlight.tensors["lm_head.weight"] = moonlight.tensors.at("model.embed_tokens.weight");
  const auto want = weights(moonlight);
  moonlight.config["tie_word_embeddings"] = true;
  EXPECT_EQ(weights(moonlight), want);  // there, and equal
  HfDirectory::Stored& head = moonlight.tensors.at("lm_head.weight");
  const HfDirectory::Stored equal = head;
  head.bytes[21] ^= 1;  // of element 10
  EXPECT_THAT(refused(moonlight),
              AllOf(HasSubstr("tie_word_embeddings is true"), HasSubstr("at element 10")));
  std::vector<float> wide(size_t(equal.spec.count()));
  for (size_t i = 0; i < wide.size(); ++i) {
    bf16 x;
    std::memcpy(&x, equal.bytes.data() + 2 * i, 2);
    wide[i] = to_float(x);
  }
  moonlight.set("lm_head.weight", equal.spec.shape, DType::f32, wide);
  EXPECT_EQ(weights(moonlight), want);
  moonlight.set("lm_head.weight", {8, 11}, DType::f32, wide);
  EXPECT_THAT(refused(moonlight), HasSubstr("f32[8,11]"));
  moonlight.tensors.erase("lm_head.weight");
  EXPECT_EQ(weights(moonlight), want);  // left out
  moonlight.config["tie_word_embeddings"] = false;
  EXPECT_THAT(refused(moonlight), HasSubstr("tensor lm_head.weight f32[11,8] is missing"));
}

// Codes times the factor of their block, all by hand: 130 rows are two blocks.
TEST_F(Changed, Fp8WeightsAreScaledByTheirBlock) {
  const std::string name = "model.layers.0.mlp.gate_proj.weight";
  std::vector<uint8_t> codes(130 * 8);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = uint8_t(i * 37 % 127 + (i % 2) * 128);
  v3.set(name, {130, 8}, DType::f8_e4m3, codes);
  v3.set(name + "_scale_inv", {2, 1}, DType::f32, std::vector<float>{0.3f, 0.7f});
  const std::string bytes = weights(v3).at(name);
  for (size_t i = 0; i < codes.size(); ++i) {
    float got = 0;
    std::memcpy(&got, bytes.data() + 4 * i, 4);
    EXPECT_EQ(got, to_float(f8_e4m3{codes[i]}) * (i < 128 * 8 ? 0.3f : 0.7f)) << i;
  }
  // Scales in bf16 are numbers too.
  v3.set(name + "_scale_inv", {2, 1}, DType::bf16,
         std::vector<bf16>{to_bf16(0.25f), to_bf16(0.5f)});
  float last = 0;
  std::memcpy(&last, weights(v3).at(name).data() + 4 * (codes.size() - 1), 4);
  EXPECT_EQ(last, to_float(f8_e4m3{codes.back()}) * 0.5f);
}

TEST_F(Changed, Fp8WeightsNeedTheirScales) {
  const HfDirectory good = v3;
  const std::string scale = kLatent + "_scale_inv";
  v3.tensors.erase(scale);
  EXPECT_THAT(refused(v3), AllOf(HasSubstr("f8_e4m3[18,5]"), HasSubstr(scale + " f32[1,1]"),
                                 HasSubstr("missing")));
  for (const Shape& shape : {Shape{1}, Shape{2, 1}, Shape{1, 2}}) {
    v3.set(scale, shape, DType::f32, std::vector<float>(size_t(count(shape)), 1));
    EXPECT_THAT(refused(v3), HasSubstr("are f32" + to_string(shape) + ", not f32[1,1]"));
  }
  v3.set(scale, {1, 1}, DType::i32, std::vector<int32_t>{1});
  EXPECT_THAT(refused(v3), HasSubstr("are i32[1,1]"));
  v3 = good;  // a scale of a weight that is not fp8
  v3.set("model.norm.weight_scale_inv", {1, 1}, DType::f32, std::vector<float>{1});
  EXPECT_THAT(refused(v3), HasSubstr("model.norm.weight_scale_inv does not belong to this model"));
  v3 = good;
  v3.set("model.norm.weight", {8}, DType::f8_e4m3, std::vector<uint8_t>(8, 0x38));
  EXPECT_THAT(refused(v3), HasSubstr("only matrices can have block scales"));
  v3 = good;
  v3.config.erase("quantization_config");
  EXPECT_THAT(refused(v3), HasSubstr("but config.json has no quantization_config"));
}

// 0x7F and 0xFF are NaN, not ±480.
TEST_F(Changed, WeightsThatAreNotFiniteAreRefused) {
  for (const char code : {'\x7f', '\xff'}) {
    HfDirectory other = v3;
    other.tensors.at(kLatent).bytes[17] = code;
    EXPECT_THAT(refused(other), AllOf(HasSubstr(kLatent), HasSubstr("nan at element 17")));
  }
  v3.set(kLatent + "_scale_inv", {1, 1}, DType::f32, std::vector<float>{INFINITY});
  EXPECT_THAT(refused(v3), HasSubstr(kLatent));
  moonlight.set("model.norm.weight", {8}, DType::f32, std::vector<float>(8, -INFINITY));
  EXPECT_THAT(refused(moonlight), HasSubstr("model.norm.weight is not finite: -inf at element 0"));
}

// rope_interleave: false in a model with a latent of queries: the rows of q_b_proj are permuted.
TEST_F(Changed, HalvesOfALatentModelAreTheSameModel) {
  const auto want = weights(v3);
  const int64_t nope = 3, rope = 8;
  const auto apart = [&](const std::string& name, int64_t first, int64_t width) {
    std::string& bytes = v3.tensors.at(name).bytes;
    const std::string before = bytes;
    for (int64_t i = 0; i < rope; ++i)
      bytes.replace(size_t((first + i / 2 + i % 2 * (rope / 2)) * width), size_t(width),
                    before.substr(size_t((first + i) * width), size_t(width)));
  };
  for (int layer = 0; layer < 2; ++layer) {
    const std::string name = fmt::format("model.layers.{}.self_attn.", layer);
    for (int64_t h = 0; h < 2; ++h) apart(name + "q_b_proj.weight", h * (nope + rope) + nope, 6);
    apart(name + "kv_a_proj_with_mqa.weight", 5, 8);
  }
  EXPECT_NE(weights(v3), want);
  v3.config["rope_interleave"] = false;
  EXPECT_EQ(weights(v3), want);
}

}  // namespace
}  // namespace birkhoff::testing
