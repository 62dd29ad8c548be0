// Import and export against what does not depend on them: the log-probabilities that a forward pass
// in plain Python, in double precision, gives for tests/golden/hf (tests/golden/make_hf.py).
#include "engine/train/import_model.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "comm/local/one_rank.h"
#include "engine/config/choices.h"
#include "engine/exchange/hf_weights.h"
#include "engine/train/export_model.h"
#include "engine/train/import_source.h"
#include "engine/train/load_model.h"
#include "engine/train/session.h"
#include "tests/engine/train/imported.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// 6 sublayers, each with some ten successive operations that round and sums of at most 14 terms:
// 128 epsilons of the largest value that is compared. (transformers, in f32, is 4 of them away.)
TEST(Import, OfADeepseekV3ModelComputesWhatItComputed) {
  const Scratch scratch;
  const Expected e = expected();
  for (const char* layout : {"pairs", "halves"})
    EXPECT_LT(
        worst(log_probabilities(imported(scratch, layout, {.source = kGolden / layout}), e.tokens),
              e.log_probability),
        128 * kEpsilon * e.largest)
        << layout;
}

// The same weights with expert groups, by another config; also after export and import.
TEST(Import, OfAModelWithExpertGroupsComputesWhatItComputed) {
  const Scratch scratch;
  const json all = json::parse(slurp(kGolden / "expected.json"));
  const std::vector<double> want = all["log_probability_in_groups"];
  const Expected e = expected();
  EXPECT_GT(worst(want, e.log_probability), 0.01) << "groups change what is chosen";
  const Path hf = scratch / "hf", exported = scratch / "exported";
  std::filesystem::copy(kGolden / "pairs", hf);
  json config = json::parse(slurp(hf / "config.json"));
  config.update(all["groups"]);
  spill(hf / "config.json", config.dump());
  const Path checkpoint = imported(scratch, "a", {.source = hf});
  EXPECT_LT(worst(log_probabilities(checkpoint, e.tokens), want), 128 * kEpsilon * e.largest);
  export_model({.source = checkpoint, .out = exported});
  const json written = json::parse(slurp(exported / "config.json"));
  for (const auto& [key, value] : all["groups"].items()) EXPECT_EQ(written[key], value) << key;
  EXPECT_EQ(log_probabilities(imported(scratch, "b", {.source = exported}), e.tokens),
            log_probabilities(checkpoint, e.tokens));
}

// The same weights in two layouts of rotary pairs, three dtypes and one, two files and one.
TEST(Import, OfBothLayoutsIsBitwiseTheSame) {
  const Scratch scratch;
  EXPECT_EQ(weights_of(imported(scratch, "a", {.source = kGolden / "pairs"})),
            weights_of(imported(scratch, "b", {.source = kGolden / "halves"})));
}

// A copy of the model whose config has another eps.
Path with_eps(const Scratch& scratch, double eps) {
  const Path path = scratch / fmt::format("hf-{}", eps);
  std::filesystem::copy(kGolden / "pairs", path);
  json config = json::parse(slurp(path / "config.json"));
  config["rms_norm_eps"] = eps;
  spill(path / "config.json", config.dump());
  return path;
}

// A sublayer of mhc rounds where a plain one does not: the weights of the residual streams (some 4
// epsilons of a sigmoid or of Sinkhorn's rows), products and sums over n of them, once in `open`
// and once in `close`. That is 2·(n + 6) epsilons of the state in each of 6 sublayers, and
// log-probabilities follow the state with a factor near 1, since a norm precedes each F. If the
// weights did not sum to 1, or the read-out were no mean, an eps of 1e-3 or 0.1 would count for far
// more.
TEST(Import, APlainModelThatGainsStreamsIsTheSameFunctionForAnyEps) {
  const Scratch scratch;
  const Expected e = expected();
  for (const double eps : {1e-20, 1e-6, 1e-3, 0.1}) {
    const Path source = with_eps(scratch, eps);
    const auto plain = log_probabilities(
        imported(scratch, fmt::format("plain-{}", eps), {.source = source}), e.tokens);
    for (const int n : {2, 3, 4, 8}) {
      ImportOptions o{.source = source, .residual = ResidualKind::mhc};
      o.overrides = {fmt::format("model.streams={}", n)};
      const Path mhc = imported(scratch, fmt::format("mhc-{}-{}", eps, n), o);
      EXPECT_LT(worst(log_probabilities(mhc, e.tokens), plain),
                6 * 2 * (n + 6) * kEpsilon * e.largest)
          << eps << ", " << n << " streams";
    }
    // hc reads one of its residual streams as it is, and writes to all: only the mean rounds.
    for (const char* form : {"dynamic", "static"}) {
      ImportOptions o{.source = source, .residual = ResidualKind::hc};
      o.overrides = {std::string("model.hc=") + form};
      const Path hc = imported(scratch, fmt::format("hc-{}-{}", form, eps), o);
      EXPECT_LT(worst(log_probabilities(hc, e.tokens), plain), 6 * kEpsilon * e.largest)
          << eps << ", " << form;
    }
  }
}

TEST(Import, WeightsOfTheHomeStreamMakeTheSumOne) {
  for (int n = 2; n <= 16; ++n) {
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    EXPECT_NEAR(sigmoid(home_logit(n, -3)) + (n - 1) * sigmoid(-3), 1, 1e-15) << n;
  }
  EXPECT_NEAR(home_logit(4, -3), 1.7965, 5e-5);  // arXiv 2512.24880's n
}

// What `train` resumes: moments that are 0, the residual's own parameters as in a fresh model,
// except for b_pre, which has its peak where the fresh one has.
TEST(Import, StartsFresh) {
  const Scratch scratch;
  const Path path =
      imported(scratch, "mhc", {.source = kGolden / "pairs", .residual = ResidualKind::mhc});
  const Checkpoint checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint.manifest().info.step, 0);
  EXPECT_EQ(checkpoint.manifest().info.tokens, 0);
  int peaks = 0;
  for (const auto& [name, bytes] : tensors_of(path)) {
    std::vector<float> values(bytes.size() / 4);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    if (name.starts_with("adam_"))
      EXPECT_EQ(values, std::vector<float>(values.size(), 0)) << name;
    else if (name.ends_with("_hc.phi") || name.ends_with("_hc.b_post"))
      EXPECT_EQ(values, std::vector<float>(values.size(), 0)) << name;
    else if (name.ends_with("_hc.alpha"))
      EXPECT_EQ(values, std::vector<float>(3, 0.01f)) << name;
    else if (name.ends_with("_hc.b_pre")) {
      const int layer = name[std::string("model.layers.").size()] - '0';
      const int sublayer = 2 * layer + (name.find(".ffn_hc.") != name.npos);
      for (int k = 0; k < 4; ++k)
        EXPECT_EQ(values[size_t(k)], k == sublayer % 4 ? float(home_logit(4, -3)) : -3) << name;
      ++peaks;
    }
  }
  EXPECT_EQ(peaks, 6);
}

// What one run was told to do does not apply to the next.
TEST(Import, KeepsTheSettingsOfACheckpointButNotItsRuns) {
  Config source;
  source.optim.lr = 0.5, source.data.path = "data/x", source.train.stop_at = 7;
  source.run = {
      .dir = "runs/old", .resume = Resume::must, .allow_changes = {.all = true}, .threads = 3};
  Config want = source;
  want.run = {.dir = "runs/new", .threads = 3};
  want.train.stop_at = 0, want.train.steps = 5;
  EXPECT_EQ(import_config(source, {.out = "runs/new", .overrides = {"train.steps=5"}}), want);
  source.model.residual = ResidualKind::plain;
  want.model.readout = ReadoutKind::mean, want.model.streams = 3;
  EXPECT_EQ(import_config(source, {.out = "runs/new",
                                   .residual = ResidualKind::mhc,
                                   .overrides = {"train.steps=5", "model.streams=3"}}),
            want);
}

TEST(Import, BatchesDoNotChangeABit) {
  const Scratch scratch;
  ImportOptions o{.source = kGolden / "pairs", .residual = ResidualKind::mhc};
  const auto whole = tensors_of(imported(scratch, "whole", o));
  for (const size_t bytes : {size_t(1), size_t(1000)}) {
    o.batch_bytes = bytes;
    const Path path = imported(scratch, fmt::format("by-{}", bytes), o);
    EXPECT_EQ(tensors_of(path), whole);
    EXPECT_GT(Checkpoint::open(path).manifest().files.size(), 2u);
  }
}

struct Told {
  std::vector<size_t> done;
  size_t total = 0;
  auto recorder() {
    return [this](size_t at, size_t of) { done.push_back(at), total = of; };
  }
  void expect_whole(size_t times) const {
    EXPECT_GE(done.size(), times);
    EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
    EXPECT_EQ(done.back(), total);
  }
};

TEST(Import, SaysHowFarItIs) {
  const Scratch scratch;
  Told import_told, export_told;
  const Path path = imported(
      scratch, "x",
      {.source = kGolden / "pairs", .batch_bytes = 1000, .progress = import_told.recorder()});
  import_told.expect_whole(5);
  size_t bytes = 0;
  for (const auto& [name, values] : tensors_of(path)) bytes += values.size();
  EXPECT_EQ(import_told.total, bytes);
  export_model({.source = path, .out = scratch / "y", .progress = export_told.recorder()});
  export_told.expect_whole(61);
  EXPECT_LT(3 * export_told.total, import_told.total + 4096);  // the biases have no moments
}

// The tensors are those that a session has, and a session continues from them.
TEST(Import, HoldsWhatASessionWants) {
  const Scratch scratch;
  for (const ResidualKind residual : {ResidualKind::plain, ResidualKind::hc, ResidualKind::mhc}) {
    const Path path = imported(scratch, std::string(name(residual)),
                               {.source = kGolden / "pairs", .residual = residual});
    const Checkpoint checkpoint = Checkpoint::open(path);
    ThreadTeam team(1);
    OneRank alone;
    Session session(config_of(checkpoint), team, alone);
    const std::vector<TensorView> views = session.tensors();
    EXPECT_EQ(views.size(), checkpoint.manifest().tensors.size());
    load_tensors(checkpoint, views);
  }
}

std::string refused(const Scratch& scratch, std::optional<ResidualKind> residual,
                    std::vector<std::string> overrides, const Path& source = kGolden / "pairs") {
  return refusal<ConfigError>({.source = source,
                               .out = scratch / "refused",
                               .residual = residual,
                               .overrides = std::move(overrides)});
}

TEST(Import, RefusesAnotherFunction) {
  const Scratch scratch;
  constexpr auto kMhc = ResidualKind::mhc;
  EXPECT_THAT(refused(scratch, kMhc, {"model.readout=sum"}), HasSubstr("model.readout is sum"));
  EXPECT_THAT(refused(scratch, kMhc, {"model.readout=learned"}), HasSubstr("readout is learned"));
  EXPECT_THAT(refused(scratch, kMhc, {"model.sinkhorn=v4"}), HasSubstr("model.sinkhorn is v4"));
  EXPECT_THAT(refused(scratch, kMhc, {"model.streams=1"}), HasSubstr("model.streams is 1"));
  EXPECT_THAT(refused(scratch, {}, {"model.norm_eps=1e-9"}),
              HasSubstr("model.norm_eps is 0.001 in the checkpoint but 1e-09 now"));
  EXPECT_THAT(refused(scratch, {}, {"moe.active=1"}), HasSubstr("moe.active"));
  EXPECT_THAT(refused(scratch, {}, {"model.dim=16"}), HasSubstr("model.dim"));
  EXPECT_THAT(refused(scratch, {}, {"model.residuals=mhc"}), HasSubstr("unknown key"));
  EXPECT_THAT(refused(scratch, {}, {"run.dir=elsewhere"}), HasSubstr("run.dir: is set by --out"));
  const Path mhc = imported(scratch, "mhc", {.source = kGolden / "pairs", .residual = kMhc});
  EXPECT_THAT(refused(scratch, ResidualKind::plain, {}, mhc),
              HasSubstr("model.residual is mhc in the source but plain here"));
  EXPECT_THAT(refused(scratch, ResidualKind::hc, {}, mhc),
              HasSubstr("model.residual is mhc in the source but hc here"));
  EXPECT_THAT(refused(scratch, {}, {"model.streams=2"}, mhc), HasSubstr("model.streams"));
}

TEST(Import, NamesTensorsThatAreNotTheConfigs) {
  const Scratch scratch;
  const Path source = scratch / "hf";
  const auto with = [&](const char* key, const json& value) {
    std::filesystem::remove_all(source);
    std::filesystem::copy(kGolden / "halves", source);
    json config = json::parse(slurp(source / "config.json"));
    config[key] = value;
    spill(source / "config.json", config.dump());
    return refusal<CheckpointError>({.source = source, .out = scratch / "out"});
  };
  EXPECT_THAT(
      with("num_hidden_layers", 2),
      HasSubstr("tensor model.layers.2.input_layernorm.weight does not belong to this model"));
  EXPECT_THAT(with("num_hidden_layers", 4),
              HasSubstr("tensor model.layers.3.input_layernorm.weight f32[8] is missing"));
  EXPECT_THAT(with("vocab_size", 12),
              HasSubstr("tensor lm_head.weight is f32[11,8], but its config needs f32[12,8]"));
  EXPECT_THAT(with("n_routed_experts", 40), HasSubstr("; and "));
  EXPECT_THAT(with("n_routed_experts", 65536),  // not traced: hours and terabytes for more layers
              HasSubstr("its config describes a model of 393"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
}

// import(export(x)) and export(import(y)), every tensor.
TEST(Export, RoundTripsAreBitwise) {
  const Scratch scratch;
  const Path x = imported(scratch, "x", {.source = kGolden / "pairs"});
  for (const size_t shard_bytes : {size_t(4) << 30, size_t(3000)}) {
    const Path y = scratch / fmt::format("y-{}", shard_bytes);
    EXPECT_EQ(export_model({.source = x, .out = y, .shard_bytes = shard_bytes}), 61u);
    const Path again = imported(scratch, fmt::format("again-{}", shard_bytes), {.source = y});
    EXPECT_EQ(tensors_of(again), tensors_of(x));
    const Path z = scratch / fmt::format("z-{}", shard_bytes);
    export_model({.source = again, .out = z, .shard_bytes = shard_bytes});
    for (const std::string& name : Directory(y).names())
      EXPECT_EQ(slurp(z / name), slurp(y / name)) << name;
    EXPECT_EQ(Directory(y).names().size(), shard_bytes == 3000 ? 7u : 2u);
  }
}

TEST(Export, InBf16RoundsOnceAndKeepsTheBiases) {
  const Scratch scratch;
  ImportOptions o{.source = kGolden / "pairs"};
  const Path x = imported(scratch, "x", o);  // its values are exact in bf16
  export_model({.source = x, .out = scratch / "y", .dtype = DType::bf16});
  const Directory directory(scratch / "y");
  const HfWeights weights(directory);
  for (const auto& [name, tensor] : weights.tensors())
    EXPECT_EQ(tensor.spec.dtype,
              name.ends_with("e_score_correction_bias") ? DType::f32 : DType::bf16)
        << name;
  EXPECT_EQ(weights_of(imported(scratch, "z", {.source = scratch / "y"})), weights_of(x));
}

}  // namespace
}  // namespace birkhoff::testing
