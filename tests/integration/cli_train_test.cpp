// train, verify, sample, score and plan as a user calls them.
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/checkpoint/checkpoint.h"
#include "engine/data/samples.h"
#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
  return all;
}

// Every file of a run that is a function of the config and the data: its name → its bytes.
std::map<std::string, std::string> files_of(const std::string& run) {
  std::map<std::string, std::string> files;
  files["metrics.jsonl"] = without_times(slurp(run + "/metrics.jsonl"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(run + "/checkpoints")) {
    if (!entry.is_regular_file()) continue;
    const std::string name = std::filesystem::relative(entry.path(), run).string();
    files[name] = slurp(entry.path());
    if (entry.path().filename() != kManifestName) continue;
    // Leaves out the run's name, its number of threads, and the hash of the manifest, which has
    // them.
    json manifest = json::parse(files[name]);
    EXPECT_TRUE(manifest.contains("tensors")) << name;
    files[name] = manifest["tensors"].dump() + manifest["files"].dump();
  }
  return files;
}

class CliTrain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    small_ = new SmallRun;
    const Finished ran = small_->with_config("train");
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  static void TearDownTestSuite() { delete small_, small_ = nullptr; }

  static std::string run() { return small_->at("run"); }
  static SmallRun* small_;
};
SmallRun* CliTrain::small_ = nullptr;

TEST_F(CliTrain, WritesALineForEachStepAndEachEvaluation) {
  std::vector<int64_t> steps, evaluations;
  for (const json& line : lines_of(slurp(run() + "/metrics.jsonl"))) {
    EXPECT_NE(line.contains("loss"), line.contains("eval_loss")) << line;
    (line.contains("loss") ? steps : evaluations).push_back(line["step"]);
    if (line.contains("loss")) {
      EXPECT_TRUE(line.contains("grad_norm") && line.contains("lr")) << line;
      EXPECT_FALSE(line.contains("eval_bits_per_byte")) << line;
      EXPECT_EQ(line["tokens"], line["step"].get<int64_t>() * 4 * 32);
    } else {
      // A byte tokenizer's bits per byte: the loss in bits, over targets that are bytes.
      EXPECT_GE(line["eval_bits_per_byte"].get<double>() * (1 + 1e-12),
                line["eval_loss"].get<double>() / std::log(2.0));
      // Two MoE layers, four experts, and every token of three steps goes to two of them.
      ASSERT_EQ(line["expert_load"].size(), 2u);
      for (const json& layer : line["expert_load"]) {
        int64_t sum = 0;
        for (const json& expert : layer) sum += expert.get<int64_t>();
        EXPECT_EQ(sum, 3 * 4 * 32 * 2) << line;
      }
    }
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(evaluations, (std::vector<int64_t>{3, 6}));
}

TEST_F(CliTrain, FirstLossIsThatOfNoKnowledgeAndTheLossFalls) {
  const auto lines = lines_of(slurp(run() + "/metrics.jsonl"));
  // Logits of small weights: within 0.1 nats of ln 257.
  EXPECT_NEAR(lines.front()["loss"].get<double>(), std::log(257.0), 0.1);
  EXPECT_LT(lines.back()["eval_loss"].get<double>(), std::log(257.0) - 0.2);
}

TEST_F(CliTrain, SavesCheckpointsThatVerify) {
  for (const char* name : {"step-00000003", "step-00000006"}) {
    const Finished ran = birkhoff({"verify", run() + "/checkpoints/" + name});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("every byte matches its hash"));
  }
  EXPECT_THAT(birkhoff({"verify", run()}).out, HasSubstr("step 6"));  // the newest
}

TEST_F(CliTrain, RunsAreByteIdenticalWithAnyNumberOfThreads) {
  for (const auto& [residual, precision] :
       {std::pair{"plain", "fp32"}, {"hc", "fp32"}, {"mhc", "fp32"}, {"mhc", "bf16"}}) {
    std::map<std::string, std::string> first;
    for (const char* threads : {"1", "1", "2", "3"}) {
      const std::string dir = small_->at("again");
      const Finished ran =
          small_->with_config("train", {"run.dir=" + dir, std::string("run.threads=") + threads,
                                        std::string("model.residual=") + residual,
                                        std::string("train.precision=") + precision});
      ASSERT_EQ(ran.code, 0) << ran.err;
      const auto got = files_of(dir);
      std::filesystem::remove_all(dir);
      ASSERT_EQ(got.size(), 5u);  // metrics, and a shard and a manifest of two checkpoints
      if (first.empty()) first = got;
      for (const auto& [name, bytes] : first)
        EXPECT_TRUE(got.contains(name) && got.at(name) == bytes)
            << residual << ", " << precision << ", " << threads << " threads: " << name
            << " differs";
    }
  }
}

// Weights are kept in fp32 whatever the activations are: a run in bf16 stops and resumes like any
// other, and text can be sampled from its checkpoint.
TEST_F(CliTrain, ARunInBf16GoesOnAndWrites) {
  const std::string whole = small_->at("bf16"), parts = small_->at("bf16-in-parts");
  const auto train = [&](const std::string& dir, std::vector<std::string> more) {
    more.insert(more.begin(), {"run.dir=" + dir, "train.precision=bf16"});
    const Finished ran = small_->with_config("train", more);
    ASSERT_EQ(ran.code, 0) << ran.err;
  };
  train(whole, {});
  train(parts, {"train.stop_at=3"});
  train(parts, {});
  EXPECT_EQ(files_of(parts), files_of(whole));
  EXPECT_NE(files_of(whole), files_of(run()));
  EXPECT_LT(lines_of(slurp(whole + "/metrics.jsonl")).back()["eval_loss"].get<double>(),
            std::log(257.0) - 0.2);
  const Finished wrote = birkhoff({"sample", whole, "--prompt", "the ", "--tokens", "20"});
  EXPECT_EQ(wrote.code, 0) << wrote.err;
  EXPECT_THAT(wrote.out, StartsWith("the "));
}

TEST_F(CliTrain, AnotherSeedIsAnotherRun) {
  const std::string dir = small_->at("seed2");
  ASSERT_EQ(small_->with_config("train", {"run.dir=" + dir, "seed=2"}).code, 0);
  EXPECT_NE(files_of(dir), files_of(run()));
}

// Whatever is wrong with a second call, the run stays as it is.
TEST_F(CliTrain, ARunIsLeftAsItIs) {
  const auto before = kept_files(run());
  const auto expect_left = [&](std::vector<std::string> overrides, int code,
                               const std::string& line) {
    const Finished ran = small_->with_config("train", overrides);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(line));
    EXPECT_EQ(kept_files(run()), before) << line;
  };
  expect_left({"run.resume=never"}, 5, "already holds a run; set run.dir");
  expect_left({}, 0, "nothing to do: the run has already reached step 6");
  expect_left({"optim.lr=1e-3"}, 2, "optim.lr is 0.003 in the checkpoint but 0.001 now");
  expect_left({"model.dim=16"}, 2,
              "belongs to another model: model.dim is 32 in the checkpoint but 16 now");
  expect_left({"model.dim=16", "run.allow_changes=true"}, 2,
              "belongs to another model: adam_m.lm_head.weight");
  expect_left({"data.validation_fraction=0.2"}, 3,
              "was trained on other data: data.validation_fraction is 0.1 in the checkpoint but "
              "0.2 now; choose another run.dir, or allow the difference: "
              "run.allow_changes=[data.validation_fraction]");
}

// Listed keys may differ, and nothing else.
TEST_F(CliTrain, OnlyListedKeysMayChange) {
  const auto before = kept_files(run());
  const auto refused = [&](std::vector<std::string> overrides, int code, const std::string& keys) {
    const Finished ran = small_->with_config("train", overrides);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("run.allow_changes=[" + keys + "]"));
    EXPECT_EQ(kept_files(run()), before);
  };
  refused({"optim.lr=1e-3", "train.steps=7", "data.validation_fraction=0.2"}, 2,
          "train.steps,optim.lr,data.validation_fraction");
  refused({"optim.lr=1e-3", "train.steps=7", "run.allow_changes=[optim.lr]"}, 2,
          "optim.lr,train.steps");
  refused({"optim.lr=1e-3", "data.validation_fraction=0.2", "run.allow_changes=optim.lr,data.path"},
          3, "optim.lr,data.path,data.validation_fraction");
  spill(small_->at("other.txt"), generated_text() + generated_text());
  ASSERT_EQ(birkhoff({"data", "prepare", "--split", "blank-line", "--out", small_->at("other"),
                      small_->at("other.txt")})
                .code,
            0);
  refused({"data.path=" + small_->at("other")}, 3, "data.path");
  refused({"data.path=" + small_->at("other"), "run.allow_changes=[optim.lr]"}, 3,
          "optim.lr,data.path");

  std::filesystem::copy(run(), small_->at("copy"), std::filesystem::copy_options::recursive);
  const Finished ran =
      small_->with_config("train", {"run.dir=" + small_->at("copy"), "optim.lr=1e-3",
                                    "train.steps=7", "data.path=" + small_->at("other"),
                                    "run.allow_changes=[optim.lr, train.steps, data.path]"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err,
              HasSubstr("allowed on resume: optim.lr is 0.003 in the checkpoint but 0.001 now"));
  EXPECT_THAT(ran.err, HasSubstr("allowed on resume: data.path has [tokens="));
  EXPECT_EQ(lines_of(slurp(small_->at("copy/metrics.jsonl"))).back()["step"], 7);
}

// 60 documents make few windows: their number is read from the log line about them.
TEST_F(CliTrain, EpochsAreReported) {
  const Finished ran =
      small_->with_config("train", {"run.dir=" + small_->at("epochs"), "train.eval_every=0"});
  const size_t at = ran.err.find("data: ");
  ASSERT_NE(at, std::string::npos) << ran.err;
  const double windows = std::stod(ran.err.substr(at + 6));
  EXPECT_THAT(ran.err, HasSubstr(fmt::format("epoch 0.00 to {:.2f}", 6 * 4 / windows)));
  for (const json& line : lines_of(slurp(small_->at("epochs/metrics.jsonl")))) {
    EXPECT_DOUBLE_EQ(line["epoch"], double(line["step"]) * 4 / windows);
  }
  EXPECT_THAT(ran.err, HasSubstr(fmt::format("  epoch {:.2f}  loss", 6 * 4 / windows)));
  EXPECT_THAT(ran.err, ::testing::Not(HasSubstr("add little")));
  const Finished often = small_->with_config(
      "train", {"run.dir=" + small_->at("often"), "train.steps=200", "train.global_batch=8",
                "train.eval_every=0", "checkpoint.every=0"});
  ASSERT_GT(200 * 8 / windows, 4);
  EXPECT_THAT(often.err, HasSubstr(fmt::format("trained on {:.1f} times", 200 * 8 / windows)));
}

TEST_F(CliTrain, MustHaveACheckpoint) {
  const std::string dir = small_->at("must");
  const Finished ran = small_->with_config("train", {"run.dir=" + dir, "run.resume=must"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_THAT(ran.err, HasSubstr("has no checkpoint"));
}

std::string sampled(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "sample");
  const Finished ran = birkhoff(arguments);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.out;
}

TEST_F(CliTrain, SamplesAsTheSeedSays) {
  const std::vector<std::string> common = {run(), "--prompt", "the river", "--tokens", "60"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    return sampled(more);
  };
  const std::string text = with({"--seed", "5"});
  EXPECT_THAT(text, StartsWith("the river"));
  EXPECT_EQ(with({"--seed", "5"}), text);
  EXPECT_EQ(with({"--seed", "5", "--threads", "3"}), text);
  EXPECT_NE(with({"--seed", "6"}), text);
  const std::string greedy = with({"--temperature", "0", "--seed", "5"});
  EXPECT_EQ(with({"--temperature", "0", "--seed", "6"}), greedy);
  EXPECT_EQ(with({"--top-k", "1"}), greedy);
}

// Shorter than the chunk in which prompts are read, with one token, and without a prompt.
TEST_F(CliTrain, SamplesAFewTokens) {
  EXPECT_THAT(sampled({run(), "--prompt", "a", "--tokens", "1"}), StartsWith("a"));
  EXPECT_LE(sampled({run(), "--tokens", "3"}).size(), 4u);
  EXPECT_THAT(sampled({run(), "--prompt", std::string(200, 'x'), "--tokens", "2"}),
              StartsWith(std::string(200, 'x')));
}

json scored(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"score", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Finished ran = birkhoff(all);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.code == 0 ? json::parse(ran.out) : json();
}

// The held-out tokens in the order of evaluation: the bytes of each document, followed by its end.
// The generated documents hold no newline, so `data split` prints one per line.
std::vector<int> held_out_tokens(const SmallRun& small) {
  const Finished split = birkhoff({"data", "split", small.at("small.yaml")});
  EXPECT_EQ(split.code, 0) << split.err;
  std::vector<int> ids;
  std::istringstream in(split.out);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    for (const char c : line) ids.push_back(int(static_cast<unsigned char>(c)));
    ids.push_back(256);
  }
  return ids;
}

// Attention and loss cross document borders here, and `score` cuts the same windows, so that both
// read the same sequences: each token's −log p may differ only by rounding, since one pass has one
// sequence and the other two. About 64 dependent roundings of 2^-24 each, of values up to 6 nats.
TEST_F(CliTrain, ScoreOfTheHeldOutTokensIsTheEvaluationsLoss) {
  const std::vector<int> ids = held_out_tokens(*small_);
  spill(small_->at("ids.json"), json(ids).dump());
  const json line = lines_of(slurp(run() + "/metrics.jsonl")).back();
  ASSERT_EQ(line["eval_tokens"], ids.size() - 1);
  const json score = scored({run(), "--tokens", small_->at("ids.json")});
  ASSERT_EQ(score["log_probability"].size(), ids.size() - 1);
  EXPECT_EQ(score, scored({run(), "--tokens", small_->at("ids.json"), "--threads", "3"}));
  ASSERT_EQ(score["tokens"], json(std::vector<int>(ids.begin() + 1, ids.end())));
  double sum = 0;
  for (const json& value : score["log_probability"]) {
    EXPECT_LT(value.get<double>(), 0);
    sum -= value.get<double>();
  }
  const double bound = 64 * std::ldexp(1.0, -24) * 6;
  EXPECT_NEAR(sum / double(ids.size() - 1), line["eval_loss"].get<double>(), bound);
  EXPECT_NEAR(score["loss"].get<double>(), line["eval_loss"].get<double>(), bound);
}

// The last window ends early by varying numbers of rows; the bits before its end stay the same.
TEST_F(CliTrain, ScoresDoNotDependOnWhatFollows) {
  std::vector<int> ids = held_out_tokens(*small_);
  ASSERT_GT(ids.size(), 300u);
  ids.resize(300);
  const auto score_of = [&](size_t count) -> std::vector<double> {
    spill(small_->at("some.json"),
          json(std::vector<int>(ids.begin(), ids.begin() + long(count))).dump());
    return scored({run(), "--tokens", small_->at("some.json")})["log_probability"];
  };
  const std::vector<double> all = score_of(300);
  for (const size_t count : {2u, 31u, 64u, 65u, 66u, 129u, 200u})
    EXPECT_EQ(score_of(count), std::vector<double>(all.begin(), all.begin() + long(count) - 1));
}

TEST_F(CliTrain, ScoresTextAsItsBytesBehindAnEnd) {
  spill(small_->at("ab.txt"), "ab");
  const json text = scored({run(), "--text", small_->at("ab.txt")});
  spill(small_->at("ab.ids"), "256 97,98\n");
  EXPECT_EQ(text["tokens"], json({97, 98}));
  EXPECT_EQ(scored({run(), "--tokens", small_->at("ab.ids")}), text);
}

TEST_F(CliTrain, PlansParametersMemoryAndTheProgram) {
  const Finished plan = small_->with_config("plan", {"--json"});
  ASSERT_EQ(plan.code, 0) << plan.err;
  const json j = json::parse(plan.out);
  const int64_t total = j["parameters"]["total"], active = j["parameters"]["active"];
  // A token multiplies with everything except the embedding, which it looks up, and the idle 2 of 4
  // experts, three 32 × 16 matrices each, in two MoE layers.
  EXPECT_EQ(total - active, 257 * 32 + 2 * 2 * 3 * 32 * 16);
  EXPECT_GT(j["parameters"]["mhc"].get<int64_t>(), 0);
  EXPECT_GT(j["memory"]["total"], j["memory"]["planned"]);
  const Finished listing = small_->with_config("plan", {"--listing"});
  EXPECT_EQ(listing.code, 0);
  for (const char* what : {"mhc_open", "attention_backward", "adamw"})
    EXPECT_THAT(listing.out, HasSubstr(what));
  const Finished streams = small_->with_config("plan", {"--streams"});
  EXPECT_EQ(streams.code, 0);
  for (const char* what :
       {"staging ", "upload <token", "after 0", "event 0", "download >", "adamw"})
    EXPECT_THAT(streams.out, HasSubstr(what));
  const Finished plain = small_->with_config("plan", {"--json", "model.residual=plain"});
  EXPECT_EQ(json::parse(plain.out)["parameters"]["mhc"], 0);
}

TEST(CliPlan, TheLargestConfigsTakeSeconds) {
  for (const char* name : {"27b-plain", "27b-hc", "27b"}) {
    const std::string config = fmt::format(BIRKHOFF_SOURCE_DIR "/configs/{}.yaml", name);
    const Finished ran = birkhoff({"plan", config, "--json"}, 10);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_NEAR(json::parse(ran.out)["parameters"]["total"].get<double>(), 27.0e9, 0.1e9);
    EXPECT_LT(ran.peak_bytes, size_t(256) << 20);  // it allocates none of what it plans
  }
}

// The resident set of a whole run stays within what `plan` says, and the reserve is too small to
// hide a copy of the parameters of a model worth training.
void expect_within_plan(std::vector<std::string> with_overrides) {
  auto arguments = with_overrides;
  arguments.insert(arguments.begin(), "plan");
  arguments.push_back("--json");
  const Finished plan = birkhoff(arguments);
  ASSERT_EQ(plan.code, 0) << plan.err;
  const json memory = json::parse(plan.out)["memory"];
  arguments = with_overrides;
  arguments.insert(arguments.begin(), "train");
  const Finished ran = birkhoff(arguments);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_LE(ran.peak_bytes, memory["total"].get<size_t>());
  EXPECT_LE(memory["total"].get<size_t>() - memory["planned"].get<size_t>(), size_t(40) << 20);
}

TEST_F(CliTrain, ResidentMemoryStaysWithinThePlan) {
  for (const char* threads : {"1", "3"})
    expect_within_plan({small_->at("small.yaml"), std::string("run.threads=") + threads,
                        "run.dir=" + small_->at(std::string("memory") + threads)});
}

TEST_F(CliTrain, ResidentMemoryOfTheDefaultModelStaysWithinThePlan) {
  expect_within_plan({BIRKHOFF_SOURCE_DIR "/configs/tiny.yaml", "data.path=" + small_->at("set"),
                      "run.threads=2", "train.stop_at=2", "run.dir=" + small_->at("tiny")});
}

}  // namespace
}  // namespace birkhoff::testing
