// Bad input to the binary: an exit code, and one clear line that says what, where and what to do.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/engine/data/files.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int64_t lines_in(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

// Expects a refusal with this code and one line on stderr that contains all of `words`.
void expect_refused(const Finished& ran, int code, const std::vector<std::string>& words,
                    int64_t lines = 1) {
  EXPECT_EQ(ran.code, code) << ran.out << ran.err;
  EXPECT_THAT(ran.err, StartsWith("birkhoff: "));
  for (const std::string& word : words) EXPECT_THAT(ran.err, HasSubstr(word));
  EXPECT_EQ(lines_in(ran.err), lines) << ran.err;
}

class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { small_ = new SmallRun; }
  static void TearDownTestSuite() { delete small_, small_ = nullptr; }

  // Starts a run with one thing wrong; it must leave no run directory behind.
  static void expect_no_run(std::vector<std::string> overrides, int code,
                            const std::vector<std::string>& words, int64_t lines = 1) {
    expect_refused(small_->with_config("train", std::move(overrides)), code, words, lines);
    EXPECT_FALSE(std::filesystem::exists(small_->at("run")));
  }
  static SmallRun* small_;
};
SmallRun* BadInput::small_ = nullptr;

TEST_F(BadInput, Config) {
  expect_no_run({"model.dimm=32"}, 2, {"command line: model.dimm", "did you mean 'model.dim'?"});
  expect_no_run({"train.steps=many"}, 2, {"train.steps", "expects an integer", "'many'"});
  expect_no_run({"optim.lr=-1"}, 2, {"optim.lr", "-1 is out of range", "from 0 to 10"});
  expect_no_run({"train.stepz=3", "model.dim=x", "optim.lr=-1"}, 2,
                {"did you mean 'train.steps'", "model.dim: expects", "optim.lr: -1"}, 3);
  expect_no_run({"model.hc=fixed"}, 2, {"model.hc", "expects dynamic or static"});
  expect_no_run({"train.precision=fp16"}, 2, {"train.precision", "bf16"});
  expect_no_run({"device=cuda"}, 2, {"device", "choose auto or cpu"});
  expect_no_run({"moe.active=5"}, 2, {"moe.active", "5 is more than moe.experts (4)"});
}

TEST_F(BadInput, ConfigFile) {
  expect_refused(birkhoff({"train", small_->at("none.yaml")}), 2,
                 {"cannot open", "none.yaml: No such file"});
  spill(small_->at("typo.yaml"), "model:\n  dimm: 32\n  heads: [1]\n");
  expect_refused(birkhoff({"plan", small_->at("typo.yaml")}), 2,
                 {"typo.yaml:2:3: model.dimm: unknown key", "did you mean 'model.dim'",
                  "typo.yaml:3:10: model.heads: expects an integer"},
                 2);
  spill(small_->at("odd.yaml"), "model: {dim: 32\n");
  expect_refused(birkhoff({"plan", small_->at("odd.yaml")}), 2, {"odd.yaml:"});
}

TEST_F(BadInput, Dataset) {
  expect_no_run({"data.path=" + small_->at("none")}, 3,
                {"no dataset", "none.bin", "birkhoff data prepare"});
  expect_no_run({"model.vocab=256"}, 3, {"'byte'", "below 257", "set model.vocab"});
  expect_no_run({"train.sequence=20000"}, 3,
                {"fewer than one sequence of 20000 + 1", "shorten train.sequence"});
  RawIndex empty;
  empty.documents = {0};
  put(small_->at("empty.bin"), "");
  put(small_->at("empty.idx"), empty.bytes());
  expect_no_run({"data.path=" + small_->at("empty")}, 3, {"empty"});
  write_dataset(small_->at("one"), {std::vector<int32_t>(500, 7)});
  expect_no_run({"data.path=" + small_->at("one")}, 3,
                {"one document cannot be both trained on and held out", "--split"});
  write_dataset(small_->at("short"), {{1, 2, 3}, {4, 5, 6}});
  expect_no_run({"data.path=" + small_->at("short")}, 3, {"fewer than one sequence of 32 + 1"});
}

// A dataset made by other tools has no manifest, so the id is only met while the run reads.
TEST_F(BadInput, TokenOutsideTheVocabularyOfADatasetWithoutManifest) {
  std::vector<std::vector<int32_t>> documents(8, std::vector<int32_t>(64, 7));
  for (auto& document : documents) document[20] = 300;
  write_dataset(small_->at("high"), documents);
  std::filesystem::remove(small_->at("high.json"));
  const Finished ran = small_->with_config(
      "train", {"data.path=" + small_->at("high"), "run.dir=" + small_->at("run_high")});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_THAT(ran.err, AllOf(HasSubstr("300"), HasSubstr("257"), HasSubstr("high")));
}

TEST_F(BadInput, RunDirectory) {
  const std::string file = small_->at("small.yaml");
  for (const std::string& dir : {file, file + "/run"})
    expect_no_run(
        {"run.dir=" + dir}, 5,
        {"run directory", "something else has that name", "set run.dir to a writable directory"});
}

TEST_F(BadInput, AModelThatMemoryCannotHoldIsRefusedBeforeItStarts) {
  const Finished ran =
      birkhoff({"train", BIRKHOFF_SOURCE_DIR "/configs/27b.yaml", "device=cpu",
                "train.precision=fp32", "data.source=random", "run.dir=" + small_->at("run")});
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_THAT(ran.err, StartsWith("birkhoff: the run needs "));
  EXPECT_THAT(ran.err.substr(0, ran.err.find('\n')),
              AllOf(HasSubstr("this machine has"), HasSubstr("train.micro_batch")));
  for (const char* row : {"accumulators", "activations", "reserve", "total"})
    EXPECT_THAT(ran.err, HasSubstr(row));
  EXPECT_LT(ran.peak_bytes, size_t(256) << 20);
  EXPECT_FALSE(std::filesystem::exists(small_->at("run")));
}

TEST(BadCheckpoint, Missing) {
  const Scratch scratch;
  const std::string none = (scratch / "none").string();
  spill(scratch / "text", "abc");
  for (const auto& command : std::vector<std::vector<std::string>>{
           {"sample", none}, {"verify", none}, {"score", none, "--text", none}})
    expect_refused(birkhoff(command), 4, {"none does not exist", "of a checkpoint or of a run"});
  expect_refused(birkhoff({"verify", scratch.path().string()}), 4, {"manifest.json"});
}

// A trained run, made once for the tests below.
class Trained : public BadInput {
 protected:
  static void SetUpTestSuite() {
    BadInput::SetUpTestSuite();
    ASSERT_EQ(small_->with_config("train", {"train.stop_at=1"}).code, 0);
    spill(small_->at("text"), "abc");
  }
  static std::string run() { return small_->at("run"); }
};

TEST_F(Trained, ACorruptByteIsFoundByWhoeverReadsIt) {
  const std::string copy = small_->at("copy");
  std::filesystem::copy(run(), copy, std::filesystem::copy_options::recursive);
  const Path shard = copy + "/checkpoints/step-00000001/rank-0000-part-0000.safetensors";
  const std::string good = slurp(shard);
  const auto damaged = [&](size_t at) {
    std::string bytes = good;
    bytes[at] = char(bytes[at] ^ 1);
    spill(shard, bytes);
    expect_refused(birkhoff({"verify", copy}), 4, {"rank-0000-part-0000.safetensors"});
  };
  damaged(good.size() - 1);  // in the last tensor
  damaged(good.size() / 2);
  damaged(9);  // in the header
  for (const auto& command : std::vector<std::vector<std::string>>{
           {"sample", copy}, {"score", copy, "--text", small_->at("text")}})
    expect_refused(birkhoff(command), 4, {"rank-0000-part-0000.safetensors"});
}

TEST_F(Trained, SamplingOptions) {
  expect_refused(birkhoff({"sample", run(), "--temperature", "-1"}), 2, {"temperature -1"});
  expect_refused(birkhoff({"sample", run(), "--temperature", "nan"}), 2, {"temperature nan"});
  expect_refused(birkhoff({"sample", run(), "--top-p", "0"}), 2, {"top-p 0 is not valid"});
  expect_refused(birkhoff({"sample", run(), "--top-k", "-1"}), 2, {"top-k -1 is negative"});
  expect_refused(birkhoff({"sample", run(), "--tokens", "0"}), 2, {"--tokens", "range 1"});
  expect_refused(birkhoff({"sample", run(), "--tokens", "x"}), 2, {"--tokens", "x"});
  for (const char* threads : {"-1", "100000"})
    expect_refused(birkhoff({"sample", run(), "--threads", threads}), 2, {"--threads", threads});
}

TEST_F(Trained, ScoreInput) {
  expect_refused(birkhoff({"score", run()}), 2, {"either --tokens FILE or --text FILE"});
  expect_refused(birkhoff({"score", run(), "--text", small_->at("no")}), 3, {"cannot open"});
  const std::string ids = small_->at("ids");
  spill(ids, "1 2 x");
  expect_refused(birkhoff({"score", run(), "--tokens", ids}), 3, {"byte 4", "'x'"});
  spill(ids, "1 257");
  expect_refused(birkhoff({"score", run(), "--tokens", ids}), 3,
                 {"token 257 at position 1", "vocabulary of 257"});
  spill(ids, "1");
  expect_refused(birkhoff({"score", run(), "--tokens", ids}), 3, {"at least two tokens"});
  expect_refused(birkhoff({"score", run(), "--tokens", ids, "--threads", "x"}), 2, {"--threads"});
}

TEST_F(Trained, AVocabularyThatIsNotTheByteTokenizers) {
  const std::string dir = small_->at("random");
  const Finished trained = small_->with_config(
      "train", {"data.source=random", "model.vocab=50", "train.stop_at=1", "run.dir=" + dir});
  ASSERT_EQ(trained.code, 0) << trained.err;
  expect_refused(birkhoff({"sample", dir, "--prompt", "hi"}), 2,
                 {"vocabulary of 50", "byte tokenizer's 257"});
  expect_refused(birkhoff({"score", dir, "--text", small_->at("text")}), 2,
                 {"vocabulary of 50", "score --tokens FILE"});
}

// A failed write to the disk or the pipe must not pass for success.
TEST_F(Trained, OutputThatCannotBeWritten) {
  for (const std::string& command : std::vector<std::string>{
           "sample " + run() + " --tokens 5",
           "score --json " + run() + " --text " + small_->at("text"),
           "plan --json " + small_->at("small.yaml"), "verify " + run(),
           "data inspect " + small_->at("set"), "data split " + small_->at("small.yaml")})
    for (const char* output : {" > /dev/full", " >&-"}) {
      const Finished ran = run_program({"/bin/sh", "-c", BIRKHOFF_BINARY " " + command + output});
      EXPECT_NE(ran.code, 0) << command << output;
      EXPECT_THAT(ran.err, HasSubstr("standard output")) << command << output;
    }
}

TEST(BadCommandLine, IsOneLine) {
  expect_refused(birkhoff({"trian"}), 2, {"unknown subcommand 'trian'", "did you mean 'train'?"});
  expect_refused(birkhoff({"quux"}), 2,
                 {"unknown subcommand 'quux'", "train, plan, bench, sample"});
  expect_refused(birkhoff({}), 2, {"A subcommand is required", "--help"});
  expect_refused(birkhoff({"train"}), 2, {"config is required"});
  expect_refused(birkhoff({"train", "a.yaml", "--bogus"}), 2, {"--bogus"});
  for (const char* command : {"plan", "sample", "score", "verify", "import", "export", "data"})
    expect_refused(birkhoff({command}), 2, {"required", "--help"});
}

TEST(Help, OfEverySubcommand) {
  EXPECT_EQ(birkhoff({"--help"}).code, 0);
  for (const char* name :
       {"train", "plan", "sample", "score", "verify", "import", "export", "data"}) {
    const Finished ran = birkhoff({name, "--help"});
    EXPECT_EQ(ran.code, 0) << name;
    EXPECT_THAT(ran.out, HasSubstr("--help")) << name;
  }
  for (const char* name : {"prepare", "inspect", "verify", "split"})
    EXPECT_EQ(birkhoff({"data", name, "--help"}).code, 0) << name;
}

}  // namespace
}  // namespace birkhoff::testing
