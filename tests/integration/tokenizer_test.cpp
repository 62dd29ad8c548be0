// The tokenizer accompanies the data, the run, its checkpoints, exports and imports, and what it
// does not fit is refused.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "engine/checkpoint/stored.h"
#include "engine/data/token_dataset.h"
#include "engine/data/token_writer.h"
#include "tests/support/run_results.h"
#include "tests/support/small_run.h"
#include "tests/support/version_one.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kGolden = BIRKHOFF_SOURCE_DIR "/tests/golden/hf/";
constexpr int32_t kShift = 100;  // byte b has id b + 100 in the other tokenizer
constexpr int32_t kEnd = 256 + kShift, kVocab = kEnd + 1;

void expect_ok(const Finished& ran) { EXPECT_EQ(ran.code, 0) << ran.err; }

void expect_refused(const Finished& ran, int code, const std::vector<std::string>& parts) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  for (const std::string& part : parts) EXPECT_THAT(ran.err, HasSubstr(part));
}

std::string tokenizer_json(const std::string& name) {
  json vocab;
  for (int32_t id = 0; id < kVocab; ++id) vocab[name + std::to_string(id)] = id;
  return json{{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}}.dump();
}

// Writes the dataset `from` with other ids, as scripts/tokenize.py would for another tokenizer.
void write_other(const Path& from, const Path& to, const std::string& text) {
  const TokenDataset dataset(from);
  TokenWriter writer(to, TokenType::u16);
  for (int64_t d = 0; d < dataset.documents(); ++d) {
    std::vector<int32_t> ids(size_t(dataset.length(d)));
    dataset.read(dataset.begin(d), ids, 257);
    for (int32_t& id : ids) id += kShift;
    writer.add_document(ids);
  }
  DatasetManifest::Tokenizer tokenizer{.name = "my.json", .vocab = kVocab, .end_of_document = kEnd};
  if (!text.empty()) tokenizer.hash = hash_of(text);
  writer.commit({.tokenizer = tokenizer, .bytes = dataset.manifest()->bytes});
  if (!text.empty()) spill(tokenizer_path(to), text);
}

json tokenizer_of(const std::string& checkpoint) {
  return json::parse(slurp(checkpoint + "/manifest.json")).at("tokenizer");
}

class TokenizerRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    small_ = new SmallRun;
    const Path set = at("set");
    write_other(set, at("mine"), mine());
    write_other(set, at("yours"), tokenizer_json("b"));
    write_other(set, at("old"), "");
    expect_ok(train("run", "mine"));
    spill(at("text"), "the river");
    spill(at("ids"), "[216, 204, 201, 132]");
  }
  static void TearDownTestSuite() { delete small_, small_ = nullptr; }

  static std::string at(const std::string& name) { return small_->at(name); }
  static std::string checkpoint(const std::string& run, int step) {
    return fmt::format("{}/checkpoints/step-{:08d}", at(run), step);
  }
  static std::string mine() { return tokenizer_json("a"); }
  static Finished train(const std::string& run, const std::string& data,
                        std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"run.dir=" + at(run), "data.path=" + at(data), "model.vocab=384",
                               "model.residual=plain", "model.kv_norm_eps=1e-6"});
    return small_->with_config("train", more);
  }
  // Copies what a run left after step 3.
  static void copy_at_3(const std::string& from, const std::string& to) {
    std::filesystem::remove_all(at(to));
    std::filesystem::copy(at(from), at(to), std::filesystem::copy_options::recursive);
    std::filesystem::remove_all(checkpoint(to, 6));
  }
  static SmallRun* small_;
};
SmallRun* TokenizerRun::small_ = nullptr;

TEST_F(TokenizerRun, GoesWithRunCheckpointExportAndImport) {
  const std::string hash = hash_of(mine());
  const json identity = {{"name", "my.json"}, {"vocab", kVocab},
                         {"bos", nullptr},    {"eos", kEnd},
                         {"pad", nullptr},    {"file", {{"bytes", mine().size()}, {"hash", hash}}}};
  EXPECT_EQ(slurp(at("run/tokenizer.json")), mine());
  for (const int step : {3, 6}) {
    EXPECT_EQ(tokenizer_of(checkpoint("run", step)), identity);
    EXPECT_EQ(slurp(checkpoint("run", step) + "/tokenizer.json"), mine());
  }
  EXPECT_THAT(birkhoff({"verify", at("run")}).out, HasSubstr("in 2 files: every byte"));
  expect_ok(birkhoff({"export", at("run"), "--to", "hf", "--out", at("hf")}));
  EXPECT_EQ(slurp(at("hf/tokenizer.json")), mine());
  const json ids = {{"bos_token_id", nullptr}, {"eos_token_id", kEnd}, {"pad_token_id", nullptr}};
  EXPECT_EQ(json::parse(slurp(at("hf/generation_config.json"))), ids);
  json config = json::parse(slurp(at("hf/config.json")));
  for (const auto& [key, value] : ids.items()) EXPECT_EQ(config[key], value) << key;

  expect_ok(birkhoff({"import", at("hf"), "--out", at("back")}));
  json imported = identity;
  imported["name"] = "tokenizer.json";
  EXPECT_EQ(tokenizer_of(checkpoint("back", 0)), imported);
  EXPECT_EQ(slurp(checkpoint("back", 0) + "/tokenizer.json"), mine());
  EXPECT_EQ(slurp(at("back/tokenizer.json")), mine());
  expect_ok(birkhoff({"import", at("run"), "--out", at("warm"), "--residual", "mhc"}));
  EXPECT_EQ(tokenizer_of(checkpoint("warm", 0)), identity);
  EXPECT_EQ(slurp(at("warm/tokenizer.json")), mine());
  spill(checkpoint("warm", 0) + "/tokenizer.json", tokenizer_json("b"));
  expect_refused(birkhoff({"verify", at("warm")}), 4,
                 {"tokenizer.json", "do not match their hash"});
  for (const char* command : {"import", "export"})
    EXPECT_EQ(birkhoff({command, at("warm"), "--out", at("none")}).code,
              command == std::string("import") ? 4 : 2);
}

TEST_F(TokenizerRun, TextIsRefusedAndIdsWork) {
  expect_ok(birkhoff({"export", at("run"), "--to", "hf", "--out", at("hf-text")}));
  std::filesystem::copy(at("hf-text"), at("hf-bare"));
  std::filesystem::remove(at("hf-bare/tokenizer.json"));
  expect_ok(birkhoff({"import", at("hf-text"), "--out", at("with")}));
  expect_ok(birkhoff({"import", at("hf-bare"), "--out", at("without")}));
  for (const auto& [run, says] : {std::pair{"run", "'my.json' (357 ids, xxh3-128 "},
                                  {"with", "'tokenizer.json' (357 ids, "},
                                  {"without", "the model's tokenizer is unknown"}}) {
    expect_refused(birkhoff({"sample", at(run), "--prompt", "hi", "--tokens", "5"}), 2,
                   {says, "sample --ids", "score --tokens"});
    expect_refused(birkhoff({"score", at(run), "--text", at("text")}), 2,
                   {says, "score --tokens FILE"});
    expect_ok(birkhoff({"score", at(run), "--tokens", at("ids")}));
    const std::vector<std::string> by_ids = {"sample",        "--ids", "216,204,201", at(run),
                                             "--seed",        "3",     "--tokens",    "7",
                                             "--temperature", "5"};
    const Finished ran = birkhoff(by_ids);
    expect_ok(ran);
    const json j = json::parse(ran.out);
    EXPECT_EQ(j["prompt"], json({216, 204, 201}));
    ASSERT_LE(j["tokens"].size(), 7u);
    for (const json& id : j["tokens"]) EXPECT_LT(id, run == std::string("without") ? 384 : kVocab);
    EXPECT_EQ(birkhoff(by_ids).out, ran.out);
  }
  expect_refused(birkhoff({"sample", at("run"), "--ids", "1,384"}), 3, {"token 384 is outside"});
  expect_refused(birkhoff({"sample", at("run"), "--ids", "1,x"}), 2, {"--ids"});
  expect_refused(birkhoff({"sample", at("run"), "--ids", "1", "--prompt", "a"}), 2, {"--prompt"});
}

// Sampling stops at each of the model's own end-of-document ids, and nowhere else.
TEST_F(TokenizerRun, SamplingStopsAtTheEndOfADocument) {
  const auto sampled = [&](const json& eos) -> json {
    std::filesystem::remove_all(at("stop-hf"));
    std::filesystem::remove_all(at("stop"));
    expect_ok(birkhoff({"export", at("run"), "--to", "hf", "--out", at("stop-hf")}));
    json config = json::parse(slurp(at("stop-hf/config.json")));
    config["eos_token_id"] = eos;
    spill(at("stop-hf/config.json"), config.dump());
    expect_ok(birkhoff({"import", at("stop-hf"), "--out", at("stop")}));
    const Finished ran = birkhoff(
        {"sample", at("stop"), "--ids", "216,204", "--tokens", "30", "--temperature", "2"});
    return json::parse(ran.out)["tokens"];
  };
  const json all = sampled(383);
  ASSERT_EQ(all.size(), 30u);
  json until = json::array();  // up to the first id that differs from all[0]
  for (const json& id : all) {
    until.push_back(id);
    if (id != all[0]) break;
  }
  EXPECT_EQ(sampled(json::array({383, until.back()})), until);
  EXPECT_EQ(sampled(until.back()), until);
}

TEST_F(TokenizerRun, ResumesWithTheSameTokenizerAlone) {
  copy_at_3("run", "part");
  // The same ids, so the same fingerprint of the data: only the tokenizer differs.
  expect_refused(train("part", "yours"), 3,
                 {"my.json", hash_of(mine()), hash_of(tokenizer_json("b")), "run.allow_changes"});
  EXPECT_FALSE(std::filesystem::exists(checkpoint("part", 6)));
  EXPECT_EQ(slurp(at("part/tokenizer.json")), mine());
  // The copy in the run's directory was changed: it is neither trusted nor replaced.
  spill(at("part/tokenizer.json"), tokenizer_json("b"));
  expect_refused(train("part", "mine"), 3, {"part/tokenizer.json", "is not this run's tokenizer"});
  EXPECT_EQ(slurp(at("part/tokenizer.json")), tokenizer_json("b"));
  std::filesystem::remove(at("part/tokenizer.json"));
  expect_ok(train("part", "mine"));
  EXPECT_EQ(slurp(at("part/tokenizer.json")), mine());
  EXPECT_EQ(differences(results_of(at("part")), results_of(at("run"))), "");

  copy_at_3("run", "allowed");
  const Finished ran = train("allowed", "yours", {"run.allow_changes=true"});
  expect_ok(ran);
  EXPECT_THAT(ran.err, HasSubstr("allowed on resume: its tokenizer is 'my.json'"));
  EXPECT_EQ(slurp(at("allowed/tokenizer.json")), tokenizer_json("b"));
  EXPECT_EQ(slurp(checkpoint("allowed", 6) + "/tokenizer.json"), tokenizer_json("b"));
  // An older dataset, which does not have the file: the checkpoint's is kept.
  copy_at_3("run", "noted");
  expect_ok(train("noted", "old"));
  EXPECT_EQ(slurp(checkpoint("noted", 6) + "/tokenizer.json"), mine());
}

TEST_F(TokenizerRun, AnImportedModelIsTrainedOnItsOwnTokenizersData) {
  expect_ok(birkhoff({"import", at("run"), "--out", at("imported")}));
  const auto go_on = [&](const std::string& data, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"train", at("imported/config.yaml"), "data.path=" + at(data),
                               "train.steps=1", "optim.warmup_steps=0"});
    return birkhoff(more);
  };
  expect_refused(go_on("yours"), 3,
                 {"step-00000000: its tokenizer is 'my.json'", "the data's is",
                  "run.allow_changes=[data.path]"});
  expect_refused(go_on("set"), 3, {"its tokenizer is 'my.json'", "the data's is 'byte'"});
  expect_ok(go_on("set", {"run.allow_changes=true"}));
  EXPECT_EQ(tokenizer_of(checkpoint("imported", 1))["name"], "byte");
  EXPECT_FALSE(std::filesystem::exists(checkpoint("imported", 1) + "/tokenizer.json"));
  EXPECT_FALSE(std::filesystem::exists(at("imported/tokenizer.json")));
  expect_ok(birkhoff({"sample", at("imported"), "--prompt", "a", "--tokens", "3"}));
}

TEST_F(TokenizerRun, ADatasetOfBeforeIsNamedWithoutAFile) {
  expect_ok(train("noted-only", "old", {"train.steps=1"}));
  EXPECT_EQ(tokenizer_of(checkpoint("noted-only", 1)),
            json::parse(R"({"name": "my.json", "vocab": 357, "bos": null, "eos": 356, "pad": null,
                            "file": null})"));
  expect_refused(birkhoff({"sample", at("noted-only"), "--prompt", "a"}), 2,
                 {"the model's tokenizer is 'my.json' (357 ids)"});
  expect_ok(birkhoff({"export", at("noted-only"), "--to", "hf", "--out", at("noted-hf")}));
  EXPECT_EQ(json::parse(slurp(at("noted-hf/config.json")))["eos_token_id"], kEnd);
  EXPECT_FALSE(std::filesystem::exists(at("noted-hf/tokenizer.json")));
}

TEST_F(TokenizerRun, RandomDataSaysNothing) {
  const auto random = [&](const std::string& run, int vocab) {
    return small_->with_config("train",
                               {"run.dir=" + at(run), "data.source=random", "train.steps=1",
                                "optim.warmup_steps=0", fmt::format("model.vocab={}", vocab)});
  };
  expect_ok(random("random-300", 300));
  expect_refused(birkhoff({"sample", at("random-300"), "--prompt", "a"}), 2,
                 {"tokenizer is unknown"});
  expect_ok(random("random-257", 257));
  const Finished ran = birkhoff({"sample", at("random-257"), "--prompt", "a", "--tokens", "3"});
  expect_ok(ran);
  EXPECT_THAT(ran.out, ::testing::StartsWith("a"));
  EXPECT_THAT(ran.err, HasSubstr("its tokenizer is unknown; assuming 'byte'"));
}

// Ids of the source survive import, training and export; those of the training data win if they end
// documents differently.
TEST_F(TokenizerRun, IdsOfTheSourceSurvive) {
  std::filesystem::copy(kGolden + "pairs", at("ids-hf"));
  json config = json::parse(slurp(at("ids-hf/config.json")));
  config["bos_token_id"] = 1, config["eos_token_id"] = {2, 9};
  spill(at("ids-hf/config.json"), config.dump());
  spill(at("ids-hf/generation_config.json"), R"({"eos_token_id": 7, "pad_token_id": 4})");
  const json wanted = {{"bos_token_id", 1}, {"eos_token_id", {2, 9}}, {"pad_token_id", 4}};
  const auto exported = [&](const std::string& run) {
    std::filesystem::remove_all(at("ids-back"));
    expect_ok(birkhoff({"export", at(run), "--to", "hf", "--out", at("ids-back")}));
    const json back = json::parse(slurp(at("ids-back/config.json")));
    json ids;
    for (const auto& [key, value] : wanted.items()) ids[key] = back.at(key);
    EXPECT_EQ(json::parse(slurp(at("ids-back/generation_config.json"))), ids);
    return ids;
  };
  expect_ok(birkhoff({"import", at("ids-hf"), "--out", at("ids-run"), "data.source=random"}));
  EXPECT_EQ(exported("ids-run"), wanted);
  const auto go_on = [&](int steps) {
    return birkhoff({"train", at("ids-run/config.yaml"), "train.steps=4", "optim.warmup_steps=0",
                     "train.global_batch=2", "train.micro_batch=2",
                     fmt::format("train.stop_at={}", steps)});
  };
  expect_ok(go_on(1));
  expect_ok(go_on(2));
  EXPECT_EQ(exported("ids-run"), wanted);
}

// Older checkpoints load, resume, verify, prune, import and export as before.
TEST_F(TokenizerRun, VersionOneGoesOn) {
  const auto plain = [&](const std::string& run, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"run.dir=" + at(run), "model.residual=plain",
                               "model.kv_norm_eps=1e-6", "checkpoint.every=1"});
    return small_->with_config("train", more);
  };
  expect_ok(plain("whole"));
  expect_ok(plain("one", {"train.stop_at=3"}));
  for (const int step : {1, 2, 3}) make_version_one(checkpoint("one", step));
  expect_ok(birkhoff({"verify", at("one")}));
  const Finished wrote = birkhoff({"sample", at("one"), "--prompt", "the ", "--tokens", "5"});
  expect_ok(wrote);
  EXPECT_THAT(wrote.err, HasSubstr("did not record the tokenizer; assuming 'byte'"));
  expect_ok(birkhoff({"score", at("one"), "--text", at("text")}));
  expect_ok(birkhoff({"import", at("one"), "--out", at("one-imported")}));
  EXPECT_TRUE(tokenizer_of(checkpoint("one-imported", 0)).is_null());
  expect_ok(birkhoff({"sample", at("one-imported"), "--prompt", "the ", "--tokens", "5"}));
  expect_ok(birkhoff({"export", at("one"), "--to", "hf", "--out", at("one-hf")}));
  EXPECT_TRUE(json::parse(slurp(at("one-hf/config.json")))["eos_token_id"].is_null());
  EXPECT_FALSE(std::filesystem::exists(at("one-hf/generation_config.json")));

  expect_ok(plain("one"));
  EXPECT_EQ(differences(results_of(at("one")), results_of(at("whole"))), "");
  EXPECT_TRUE(json::parse(slurp(checkpoint("one", 3) + "/manifest.json"))["format_version"] == 1);
  EXPECT_TRUE(json::parse(slurp(checkpoint("one", 4) + "/manifest.json"))["format_version"] == 2);
  EXPECT_EQ(tokenizer_of(checkpoint("one", 4))["name"], "byte");
  EXPECT_EQ(birkhoff({"sample", at("one"), "--prompt", "the ", "--tokens", "5"}).err, "");
  // Pruned, too: the same run again, with two to keep.
  std::filesystem::remove_all(checkpoint("one", 6));
  expect_ok(plain("one", {"checkpoint.keep=2"}));
  EXPECT_EQ(Directory(at("one/checkpoints")).names(),
            (std::vector<std::string>{"step-00000005", "step-00000006"}));
}

TEST_F(TokenizerRun, TheDatasetsFileIsLookedAt) {
  write_other(at("set"), at("torn"), mine());
  spill(at("torn.tokenizer.json"), tokenizer_json("b"));
  for (const Finished& ran : {train("torn-run", "torn"), birkhoff({"data", "verify", at("torn")}),
                              birkhoff({"data", "inspect", at("torn")})})
    expect_refused(ran, 3, {"torn.tokenizer.json does not match the manifest"});
  EXPECT_FALSE(std::filesystem::exists(at("torn-run")));
  EXPECT_THAT(birkhoff({"data", "inspect", at("mine")}).out,
              AllOf(HasSubstr("tokenizer my.json of 357 ids, end of document 356"),
                    HasSubstr("mine.tokenizer.json: "), HasSubstr(hash_of(mine()))));
  expect_refused(
      birkhoff({"data", "split", at("small.yaml"), "data.path=" + at("mine"), "model.vocab=384"}),
      3, {"the tokenizer of " + at("mine"), "is 'my.json'"});
}

}  // namespace
}  // namespace birkhoff::testing
