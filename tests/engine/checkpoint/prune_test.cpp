#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

void save(const Path& run, int64_t step) {
  const std::vector<float> values = {1, 2, 3};
  const NamedTensor tensor{"w", {{3}, DType::f32}, std::as_bytes(std::span(values))};
  save_checkpoint(run / "checkpoints" / checkpoint_name(step), {.step = step}, {&tensor, 1});
}

std::vector<std::string> names(const Path& run) { return Directory(run / "checkpoints").names(); }

TEST(Prune, KeepsTheNewest) {
  const Scratch run;
  for (const int64_t step : {5, 10, 20, 30}) save(run.path(), step);
  prune_checkpoints(run.path(), 3);
  EXPECT_EQ(names(run.path()),
            (std::vector<std::string>{"step-00000010", "step-00000020", "step-00000030"}));
  prune_checkpoints(run.path(), 2);
  EXPECT_EQ(names(run.path()), (std::vector<std::string>{"step-00000020", "step-00000030"}));
  Checkpoint::open(run.path() / "checkpoints" / "step-00000030").verify();
  EXPECT_THROW(prune_checkpoints(run.path(), 1), InternalError);
}

// What is damaged counts for nothing and is left for its owner to see, as are files of others.
TEST(Prune, TouchesNothingElse) {
  const Scratch run;
  for (const int64_t step : {1, 2, 3, 4, 5}) save(run.path(), step);
  const Path folder = run.path() / "checkpoints";
  spill(folder / "step-00000005" / kManifestName, "{}");
  spill(folder / "step-00000001" / "mine.txt", "keep me");
  spill(folder / "notes.txt", "keep me too");
  prune_checkpoints(run.path(), 2);
  for (const char* name : {"step-00000003", "step-00000004", "step-00000005", "notes.txt"})
    EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
  EXPECT_FALSE(std::filesystem::exists(folder / "step-00000002"));
  EXPECT_EQ(slurp(folder / ".step-00000001.pruned" / "mine.txt"), "keep me");
}

}  // namespace
}  // namespace birkhoff::testing
