#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"
#include "tests/engine/checkpoint/sample.h"

namespace birkhoff::testing {
namespace {

std::string save(const Path& run, int64_t step) {
  const std::vector<float> values = {1, 2, 3};
  const NamedTensor tensor{"w", {{3}, DType::f32}, std::as_bytes(std::span(values))};
  return save_checkpoint(run / "checkpoints" / checkpoint_name(step), {.step = step}, {&tensor, 1});
}

std::vector<std::string> names(const Path& run) { return Directory(run / "checkpoints").names(); }

TEST(Prune, KeepsTheNewest) {
  const Scratch run;
  std::set<std::string> proven;
  for (const int64_t step : {5, 10, 20, 30}) proven.insert(save(run.path(), step));
  prune_checkpoints(run.path(), 3, proven);
  EXPECT_EQ(names(run.path()),
            (std::vector<std::string>{"step-00000010", "step-00000020", "step-00000030"}));
  prune_checkpoints(run.path(), 2, proven);
  EXPECT_EQ(names(run.path()), (std::vector<std::string>{"step-00000020", "step-00000030"}));
  Checkpoint::open(run.path() / "checkpoints" / "step-00000030").verify();
  EXPECT_THROW(prune_checkpoints(run.path(), 1, proven), InternalError);
}

TEST(Prune, TakesTheTokenizerAlong) {
  const Scratch run;
  const Path folder = run.path() / "checkpoints";
  const std::string json = sample_tokenizer_json();
  std::set<std::string> proven;
  for (const int64_t step : {1, 2, 3}) {
    const CheckpointInfo info{.step = step, .tokenizer = sample_tokenizer(json)};
    proven.insert(save_checkpoint(folder / checkpoint_name(step), info, {}, {}, json));
  }
  // A tokenizer.json that the manifest does not list belongs to somebody else.
  const CheckpointInfo info{.step = 0, .tokenizer = byte_identity()};
  proven.insert(save_checkpoint(folder / checkpoint_name(0), info, {}));
  spill(folder / checkpoint_name(0) / kTokenizerName, json);
  std::filesystem::create_directory(folder / ".step-00000009.partial");
  spill(folder / ".step-00000009.partial" / kTokenizerName, "torn");
  prune_checkpoints(run.path(), 2, proven);
  EXPECT_EQ(names(run.path()),
            (std::vector<std::string>{".step-00000000.pruned", "step-00000002", "step-00000003"}));
  EXPECT_EQ(Directory(folder / ".step-00000000.pruned").names(),
            std::vector<std::string>{std::string(kTokenizerName)});
}

// Any subset of six may be proven, any may have a damaged payload, which pruning does not see: for
// whatever is removed, two newer ones are proven, and at least `keep` that open are left.
TEST(Prune, NeverTheNewestTwoThatAreKnownToBeWhole) {
  const Scratch saved;
  std::vector<std::string> hashes;
  for (int64_t step = 1; step <= 6; ++step) hashes.push_back(save(saved.path(), step));
  for (unsigned mask = 0; mask < 64; ++mask) {
    for (const int64_t keep : {2, 4}) {
      const Scratch run;
      std::filesystem::copy(saved.path(), run.path(), std::filesystem::copy_options::recursive);
      std::set<std::string> proven;
      for (size_t i = 0; i < hashes.size(); ++i) {
        if (mask >> i & 1) proven.insert(hashes[i]);
      }
      prune_checkpoints(run.path(), keep, proven);
      const std::vector<std::string> left = names(run.path());
      const auto is_left = [&](int64_t step) {
        return std::find(left.begin(), left.end(), checkpoint_name(step)) != left.end();
      };
      for (int64_t step = 1; step <= 6; ++step) {
        const int newer = __builtin_popcount(mask >> step);
        ASSERT_EQ(is_left(step), newer < 2 || 6 - step < keep) << mask << " " << step;
      }
    }
  }
}

// A damaged checkpoint is not counted and is left for its owner to see, as are files of others.
TEST(Prune, TouchesNothingElse) {
  const Scratch run;
  std::set<std::string> proven;
  for (const int64_t step : {1, 2, 3, 4, 5}) proven.insert(save(run.path(), step));
  const Path folder = run.path() / "checkpoints";
  spill(folder / "step-00000005" / kManifestName, "{}");
  spill(folder / "step-00000001" / "mine.txt", "keep me");
  spill(folder / "notes.txt", "keep me too");
  prune_checkpoints(run.path(), 2, proven);
  for (const char* name : {"step-00000003", "step-00000004", "step-00000005", "notes.txt"})
    EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
  EXPECT_FALSE(std::filesystem::exists(folder / "step-00000002"));
  EXPECT_EQ(slurp(folder / ".step-00000001.pruned" / "mine.txt"), "keep me");
}

// What killed saves and prunings left is removed; what only looks like it stays.
TEST(Prune, Leftovers) {
  const Scratch run;
  remove_leftovers(run.path());
  save(run.path(), 1);
  const Path folder = run.path() / "checkpoints";
  for (const char* name : {".step-00000002.partial", ".step-00000003.pruned", ".step-4.partial",
                           ".notes.partial", "step-00000005.partial", ".step-00000006.partial"}) {
    std::filesystem::create_directory(folder / name);
    spill(folder / name / shard_name(0, 0), "torn");
  }
  spill(folder / ".step-00000006.partial" / "mine.txt", "keep me");
  spill(folder / ".step-00000007.partial", "a file");
  std::filesystem::create_directory_symlink(folder / "step-00000001",
                                            folder / ".step-00000008.partial");
  remove_leftovers(run.path());
  EXPECT_EQ(names(run.path()), (std::vector<std::string>{
                                   ".notes.partial", ".step-00000006.partial",
                                   ".step-00000007.partial", ".step-00000008.partial",
                                   ".step-4.partial", "step-00000001", "step-00000005.partial"}));
  EXPECT_EQ(Directory(folder / ".step-00000006.partial").names(),
            std::vector<std::string>{"mine.txt"});
  Checkpoint::open(folder / "step-00000001").verify();
}

TEST(Prune, RefusedOnesMakeWay) {
  const Scratch run;
  const Path folder = run.path() / "checkpoints", path = folder / checkpoint_name(7);
  for (int i = 0; i < 3; ++i) {
    save(run.path(), 7);
    set_refused_aside(path);
  }
  EXPECT_EQ(names(run.path()),
            (std::vector<std::string>{"refused-step-00000007", "refused-step-00000007-2",
                                      "refused-step-00000007-3"}));
  EXPECT_TRUE(checkpoint_candidates(run.path()).empty());
  EXPECT_THROW(set_refused_aside(path), ResourceError);
}

}  // namespace
}  // namespace birkhoff::testing
