// The shipped binary and checkpoints that are not as they were written: exit code 4, one line that
// names the file and, if a tensor is affected, the tensor and its bytes.
#include <gmock/gmock.h>

#include "tests/engine/checkpoint/mutator.h"
#include "tests/support/run_results.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

bool says_one_of(const std::string& text, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return text.find(word) != std::string::npos; });
}

TEST(MutatedCheckpoint, VerifyRefuses) {
  Dice dice(5);
  Mutator mutator;
  const std::string path = mutator.path().string();
  ASSERT_EQ(birkhoff({"verify", path}).code, 0);
  for (int trial = 0; trial < 2000;) {
    const std::vector<std::string> words = mutator.change(dice);
    if (!mutator.unchanged()) {
      const Finished ran = birkhoff({"verify", path});
      ASSERT_EQ(ran.code, 4) << words[0] << ran.err;
      ASSERT_EQ(ran.out, "");
      ASSERT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
      ASSERT_TRUE(says_one_of(ran.err, words)) << ran.err << words[0];
      ++trial;
    }
    mutator.restore();
  }
  EXPECT_EQ(birkhoff({"verify", path}).code, 0);
}

TEST(MutatedCheckpoint, VerifyOfTheGoldenOne) {
  const Finished ran = birkhoff({"verify", BIRKHOFF_SOURCE_DIR "/tests/golden/checkpoint-v1"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("step 12, 7 tensors, 1882 bytes in 5 files"));
  EXPECT_EQ(ran.err, "");
}

// Commands that load a model verify what they load: nothing is computed from a checkpoint that
// verify would have refused for one of those bytes.
TEST(MutatedCheckpoint, SampleAndScoreRefuse) {
  const SmallRun run;
  ASSERT_EQ(run.with_config("train", {"train.stop_at=1"}).code, 0);
  spill(run.at("text"), "abc");
  const Path path = Path(run.at("run")) / "checkpoints" / "step-00000001";
  const Checkpoint checkpoint = Checkpoint::open(path);
  Dice dice(6);
  for (int trial = 0; trial < 8;) {
    const auto& tensors = checkpoint.manifest().tensors;
    const StoredTensor& t = tensors[size_t(dice.below(int64_t(tensors.size())))];
    if (t.name.starts_with("adam_") || t.pieces.empty()) continue;  // not of the model
    const StoredPiece& p = t.pieces[0];
    const std::string good = slurp(path / p.file);
    std::string bad = good;
    bad[size_t(dice.from_to(int64_t(p.begin), int64_t(p.end) - 1))] ^= char(1 << dice.below(8));
    spill(path / p.file, bad);
    const Finished ran = trial++ % 2 ? birkhoff({"sample", path.string()})
                                     : birkhoff({"score", path.string(), "--text", run.at("text")});
    EXPECT_EQ(ran.code, 4) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err,
                HasSubstr(fmt::format("{}: tensor {}, bytes {} to", p.file, t.name, p.begin)));
    spill(path / p.file, good);
  }
}

// A run of two ranks resumes from the newest checkpoint that is whole to the last byte, and ends as
// if nothing had happened; what could not be read is renamed. With none left it does not start.
TEST(MutatedCheckpoint, ARunFallsBackToAWholeOne) {
  const SmallRun small;
  const auto train = [&](const std::string& run, const std::string& stop) {
    return run_program({BIRKHOFF_SOURCE_DIR "/launch/mpirun.sh", "-np", "2", BIRKHOFF_BINARY,
                        "train", small.at("small.yaml"), "run.dir=" + small.at(run),
                        "train.reduction_groups=2", "checkpoint.every=2", "train.stop_at=" + stop},
                       120);
  };
  ASSERT_EQ(train("whole", "6").code, 0);
  const auto want = results_of(small.at("whole"));
  ASSERT_EQ(train("run", "4").code, 0);

  const auto damage = [&](const std::string& name) {
    const Path path = Path(small.at("run")) / "checkpoints" / name;
    const Checkpoint checkpoint = Checkpoint::open(path);
    const StoredTensor* t = checkpoint.find("adam_v.lm_head.weight");
    const StoredPiece& piece = t->pieces.back();
    std::string bytes = slurp(path / piece.file);
    bytes[piece.end - 1] ^= 1;
    spill(path / piece.file, bytes);
    return (path / piece.file).string();
  };
  const std::string file = damage("step-00000004");
  const Finished done = train("run", "6");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.err, AllOf(HasSubstr("ignored a checkpoint that cannot be used: "),
                              HasSubstr(file), HasSubstr("tensor adam_v.lm_head.weight, bytes ")));
  EXPECT_THAT(done.err, HasSubstr("is kept as refused-step-00000004"));
  EXPECT_EQ(differences(results_of(small.at("run")), want), "");

  for (const char* step : {"step-00000002", "step-00000004", "step-00000006"}) damage(step);
  const auto before = kept_files(small.at("run"));
  const Finished refused = train("run", "8");
  EXPECT_EQ(refused.code, 4) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr(small.at("run") + " has no complete checkpoint"));
  EXPECT_EQ(kept_files(small.at("run")), before);
}

}  // namespace
}  // namespace birkhoff::testing
