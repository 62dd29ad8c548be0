// import and export as a user calls them.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kGolden = BIRKHOFF_SOURCE_DIR "/tests/golden/hf/";

void expect_refused(const Finished& ran, int code, const std::vector<std::string>& parts) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  for (const std::string& part : parts) EXPECT_THAT(ran.err, HasSubstr(part));
}

// Losses of the training steps.
std::vector<double> losses(const std::string& run) {
  std::vector<double> all;
  std::istringstream in(slurp(run + "/metrics.jsonl"));
  for (std::string line; std::getline(in, line);)
    if (const json j = json::parse(line); j.contains("loss")) all.push_back(j["loss"]);
  return all;
}

// A plain model that has been trained, and a second text that it has not seen.
class Exchange : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    small_ = new SmallRun;
    const Finished ran =
        small_->with_config("train", {"model.residual=plain", "model.kv_norm_eps=1e-6"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    spill(small_->at("text"), "the river mixes and the stone never ends again");
  }
  static void TearDownTestSuite() { delete small_, small_ = nullptr; }

  static std::string at(const std::string& name) { return small_->at(name); }
  static std::string out(const std::string& name) {
    std::filesystem::remove_all(at(name));
    return at(name);
  }
  static std::string scores(const std::string& run) {
    const Finished ran = birkhoff({"score", run, "--text", at("text"), "--json"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.out;
  }
  static void expect_ok(const Finished& ran) { EXPECT_EQ(ran.code, 0) << ran.err; }
  static SmallRun* small_;
};
SmallRun* Exchange::small_ = nullptr;

TEST_F(Exchange, ThereAndBackIsBitwise) {
  const std::string hf = out("hf"), back = out("back"), sharded = out("sharded");
  const Finished exported = birkhoff({"export", at("run"), "--to", "hf", "--out", hf});
  // 3 for the whole, 7 per layer, 3 for the dense FFN; others have router, bias, 4 experts, shared.
  EXPECT_EQ(exported.out, fmt::format("{}: {} tensors in f32\n", hf, 3 + 3 * 7 + 3 + 2 * 17))
      << exported.err;
  const Finished imported = birkhoff({"import", hf, "--out", back});
  EXPECT_THAT(imported.out, AllOf(HasSubstr("step-00000000: "), HasSubstr("residual plain"),
                                  HasSubstr("birkhoff train " + back + "/config.yaml")));
  EXPECT_EQ(scores(back), scores(at("run")));
  EXPECT_THAT(birkhoff({"verify", back}).out, HasSubstr("step 0"));
  expect_ok(birkhoff({"export", back, "--to", "hf", "--out", sharded, "--shard-bytes", "50000"}));
  EXPECT_GT(Directory(sharded).names().size(), 4u);
  const std::string again = out("again");
  expect_ok(birkhoff({"import", sharded, "--out", again}));
  EXPECT_EQ(tensors_of(again + "/checkpoints/step-00000000"),
            tensors_of(back + "/checkpoints/step-00000000"));
}

// A published model: one line says what is left out, and it trains and goes back.
TEST_F(Exchange, APublishedModelComesInTrainsAndGoesBack) {
  const std::string run = out("published"), hf = out("published-hf");
  const Finished imported = birkhoff({"import", kGolden + "deepseek_v3", "--out", run});
  expect_ok(imported);
  EXPECT_EQ(std::count(imported.err.begin(), imported.err.end(), '\n'), 1) << imported.err;
  EXPECT_THAT(imported.err, HasSubstr("ignored 100 tensors of 1 layer for multi-token"));
  const Finished trained =
      birkhoff({"train", run + "/config.yaml", "data.source=random", "train.steps=3",
                "train.sequence=16", "train.global_batch=2", "train.micro_batch=1",
                "optim.warmup_steps=0", "train.final_eval_batches=1"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(losses(run).size(), 3u);
  expect_ok(birkhoff({"export", run, "--to", "hf", "--out", hf}));
  const json before = json::parse(slurp(kGolden + "deepseek_v3/config.json"));
  const json after = json::parse(slurp(hf + "/config.json"));
  for (const char* key : {"q_lora_rank", "n_group", "topk_group", "rope_theta", "rms_norm_eps"})
    EXPECT_EQ(after[key], before[key]) << key;
  for (const auto& [key, value] : before["rope_scaling"].items())
    EXPECT_EQ(after["rope_scaling"][key], value) << key;
}

TEST_F(Exchange, SampleReadsAnImportedModel) {
  const std::string run = out("sampled");
  expect_ok(birkhoff({"import", at("run"), "--out", run, "--residual", "mhc"}));
  const Finished ran = birkhoff({"sample", run, "--prompt", "the ", "--tokens", "20"});
  expect_ok(ran);
  EXPECT_THAT(ran.out, ::testing::StartsWith("the "));
}

// With the same seed the imported runs see the same windows: their first loss is that of the plain
// model, to the rounding of 3 layers of mhc (import_test.cpp of engine/train has the bound per
// token; that of a mean is no larger), and so is the gradient's norm except for the new parameters.
TEST_F(Exchange, TrainingGoesOnFromTheSameLossAndFalls) {
  std::map<std::string, std::vector<double>> by_residual;
  for (const char* residual : {"plain", "hc", "mhc"}) {
    const std::string run = out(std::string("warm-") + residual);
    expect_ok(birkhoff({"import", at("run"), "--out", run, "--residual", residual}));
    // Settings and data are free: nothing has been trained yet. The model is not.
    expect_refused(
        birkhoff({"train", run + "/config.yaml", "model.norm_eps=1e-3"}), 2,
        {"belongs to another model: model.norm_eps is 1e-20 in the checkpoint but 0.001 now"});
    const Finished ran = birkhoff({"train", run + "/config.yaml", "train.steps=20",
                                   "optim.warmup_steps=0", "optim.lr=1e-3", "seed=5"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("resumed from " + run + "/checkpoints/step-00000000"));
    by_residual[residual] = losses(run);
    ASSERT_EQ(by_residual[residual].size(), 20u);
    EXPECT_THAT(birkhoff({"verify", run}).out, HasSubstr("step 20"));
    const auto& all = by_residual[residual];
    const auto mean = [&](size_t first) {
      return (all[first] + all[first + 1] + all[first + 2]) / 3;
    };
    EXPECT_LT(mean(17), mean(0) - 0.05) << residual;
    // From here on it is a run like any other.
    EXPECT_EQ(birkhoff({"train", run + "/config.yaml", "optim.lr=2e-3"}).code, 2);
  }
  EXPECT_NEAR(by_residual["mhc"][0], by_residual["plain"][0],
              6 * 2 * (2 + 6) * 0x1p-23 * by_residual["plain"][0]);
  EXPECT_NEAR(by_residual["hc"][0], by_residual["plain"][0], 6 * 0x1p-23 * by_residual["plain"][0]);
  EXPECT_NE(by_residual["hc"][19], by_residual["mhc"][19]);
  EXPECT_NE(by_residual["mhc"][19], by_residual["plain"][19]);
}

TEST_F(Exchange, AWarmStartOfTheSameResidualKeepsItsParameters) {
  const std::string mhc = at("mhc"), warm = out("warm");
  expect_ok(small_->with_config("train", {"run.dir=" + mhc, "train.stop_at=2"}));
  expect_ok(birkhoff({"import", mhc + "/checkpoints/step-00000002", "--out", warm, "seed=9"}));
  const auto before = tensors_of(mhc + "/checkpoints/step-00000002");
  for (const auto& [name, bytes] : tensors_of(warm + "/checkpoints/step-00000000"))
    EXPECT_EQ(bytes, name.starts_with("adam_") ? std::string(bytes.size(), '\0') : before.at(name))
        << name;
  EXPECT_EQ(scores(warm), scores(mhc));
}

TEST_F(Exchange, RefusesAndLeavesNothing) {
  const std::string none = out("none");
  const auto import = [&](const std::string& source, std::vector<std::string> more = {}) {
    std::vector<std::string> all = {"import", source, "--out", none};
    all.insert(all.end(), more.begin(), more.end());
    return birkhoff(all);
  };
  const auto export_to = [&](const std::string& source, std::vector<std::string> more = {}) {
    std::vector<std::string> all = {"export", source, "--to", "hf", "--out", none};
    all.insert(all.end(), more.begin(), more.end());
    return birkhoff(all);
  };
  expect_refused(import(at("run"), {"model.readout=sum", "--residual", "mhc"}), 2,
                 {"model.readout is sum"});
  expect_refused(import(at("run"), {"model.dimm=3"}), 2, {"did you mean 'model.dim'"});
  expect_refused(import(at("run"), {"--residual", "hyper"}), 2, {"--residual"});
  expect_refused(import(at("nowhere")), 4, {"nowhere does not exist"});
  expect_refused(import(at("text")), 4, {});
  expect_refused(export_to(at("run"), {"--dtype", "f16"}), 2, {"--dtype"});
  expect_refused(export_to(at("nowhere")), 4, {"nowhere does not exist"});
  expect_refused(birkhoff({"export", at("run"), "--to", "gguf", "--out", none}), 2, {"--to"});
  expect_refused(birkhoff({"import", kGolden + "pairs", "--out", at("run")}), 5,
                 {"already exists and is never overwritten"});
  expect_refused(birkhoff({"export", at("run"), "--to", "hf", "--out", at("text")}), 5,
                 {"already exists and is never overwritten"});
  expect_refused(birkhoff({"import", kGolden + "pairs", "--out", at("text") + "/x"}), 5,
                 {"something else has that name"});
  EXPECT_FALSE(std::filesystem::exists(none));
}

TEST_F(Exchange, RefusesADirectoryThatIsNotAModel) {
  const std::string hf = at("damaged"), none = at("none");
  const auto import_with = [&](const char* key, const json& value) {
    std::filesystem::remove_all(hf);
    std::filesystem::copy(kGolden + "halves", hf);
    json config = json::parse(slurp(hf + "/config.json"));
    config[key] = value;
    spill(hf + "/config.json", config.dump());
    return birkhoff({"import", hf, "--out", none});
  };
  expect_refused(import_with("q_lora_rank", 0), 2, {"damaged/config.json: q_lora_rank is 0: "});
  expect_refused(import_with("q_lora_rank", 8), 4,
                 {"q_proj.weight does not belong to this model; ", " more"});
  expect_refused(import_with("rope_scaling", {{"type", "linear"}, {"factor", 2}, {"x", 1}}), 2,
                 {"rope_scaling.type is \"linear\": only default and yarn are supported"});
  expect_refused(import_with("model_type", "llama"), 2, {"only deepseek_v3 is supported"});
  expect_refused(import_with("qk_rope_head_dim", 3), 2, {"model.rope_dim", "odd"});
  expect_refused(import_with("use_qk_norm", true), 4, {"unknown field 'use_qk_norm'"});
  expect_refused(import_with("vocab_size", "x"), 4, {"config.json: ", "vocab_size"});
  import_with("n_group", 1);
  const std::string good = slurp(hf + "/model.safetensors");
  spill(hf + "/model.safetensors", good.substr(0, good.size() - 1));
  expect_refused(birkhoff({"import", hf, "--out", none}), 4, {"damaged/model.safetensors"});
  std::filesystem::remove(hf + "/model.safetensors");
  expect_refused(birkhoff({"import", hf, "--out", none}), 4, {"neither model.safetensors nor"});
  spill(at("elsewhere"), good);
  std::filesystem::create_symlink(at("elsewhere"), hf + "/model.safetensors");
  expect_refused(birkhoff({"import", hf, "--out", none}), 4, {"damaged/model.safetensors"});
}

// The file system refuses while tensors are written: nothing of them stays.
TEST_F(Exchange, AFullDiskLeavesNothing) {
  const std::string folder = out("full");
  std::filesystem::create_directory(folder);
  for (const std::string& command : {"import " + at("run") + " --out " + folder + "/x",
                                     "export " + at("run") + " --to hf --out " + folder + "/x"}) {
    // A file may have 8 KiB, which are 8 or 16 blocks, depending on the shell.
    const Finished ran =
        run_program({"/bin/sh", "-c", "ulimit -f 8; exec " BIRKHOFF_BINARY " " + command});
    EXPECT_EQ(ran.code, 5) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("File too large"));
    EXPECT_TRUE(std::filesystem::is_empty(folder)) << command;
  }
}

}  // namespace
}  // namespace birkhoff::testing
