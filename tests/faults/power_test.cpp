// A save whose disk loses power between any two file calls: whatever unflushed data is lost, each
// committed checkpoint is whole and no torn one is visible.
#include <gtest/gtest.h>

#include "tests/faults/cuts.h"
#include "tests/faults/save_run.h"

namespace birkhoff::testing {
namespace {

constexpr auto kEverywhere = [](const FileCall&) { return true; };

// With the oldest pruned, as usual, and with all checkpoints kept.
TEST(PowerCuts, LoseNoCommittedCheckpointAndTearNone) {
  for (const auto& [keep, kept] : {std::pair("2", kKept), std::pair("9", size_t(9))}) {
    const Scratch scratch;
    const Command command = save_command(scratch.path(), "stop", keep);
    const Recording saved = record(scratch.path(), command);
    ASSERT_EQ(saved.finished.code, 0) << saved.finished.err;
    const Cuts found = cut_power(saved.calls, kEverywhere,
                                 [&](const Path& left, const std::set<int64_t>& committed, size_t) {
                                   return save_reference().unsound(left / "run", committed, kept);
                                 });
    EXPECT_EQ(found.first_fault, "");
    EXPECT_GT(found.states, 700u);
    std::printf("keep %s: %zu cuts, %zu states\n", keep, found.cuts, found.states);
  }
}

// The machine restarts and the run continues to the same checkpoints.
TEST(PowerCuts, AreNotInTheNextRunsWay) {
  const Scratch scratch;
  const Recording saved = record(scratch.path(), save_command(scratch.path()));
  const size_t stride = stride_of(23);
  const Cuts found =
      cut_power(saved.calls, kEverywhere,
                [&](const Path& left, const std::set<int64_t>&, size_t number) -> std::string {
                  if (number % stride != 0) return "";
                  const Finished ran = run_with({}, left, save_command(left));
                  if (ran.code != 0) return ran.err;
                  return save_reference().unsound(left / "run", {6, 9}, kKept);
                });
  EXPECT_EQ(found.first_fault, "");
}

// A run is killed, the next one continues with what the kernel has of the first, and then the power
// fails: what the first had not yet flushed, the second must.
TEST(PowerCuts, BehindAKillLoseNothingEither) {
  std::vector<FileCall> first;
  {
    const Scratch scratch;
    first = record(scratch.path(), save_command(scratch.path())).calls;
  }
  for (size_t at = 1; at < first.size(); at += stride_of(at < 12 ? 1 : 17)) {
    const Fault fault{.kind = "kill_after", .at = at};
    SCOPED_TRACE(to_string(fault) + ": " + to_string(first[at - 1]));
    const Scratch scratch;
    const Command command = save_command(scratch.path());
    std::vector<FileCall> calls = record(scratch.path(), command, fault).calls;
    EXPECT_EQ(calls.size(), at);
    const Recording second = record(scratch.path(), command);
    EXPECT_EQ(second.finished.code, 0) << second.finished.err;
    calls.insert(calls.end(), second.calls.begin(), second.calls.end());
    const Cuts found = cut_power(
        calls, [&](const FileCall& call) { return call.number % stride_of(7) == 0; },
        [](const Path& left, const std::set<int64_t>& committed, size_t) {
          return save_reference().unsound(left / "run", committed, kKept);
        });
    ASSERT_EQ(found.first_fault, "");
  }
}

// Faults of a save that the replay must detect, each planted in the calls of a sound save.
std::string fault_of(const std::vector<FileCall>& calls) {
  return cut_power(calls, kEverywhere,
                   [&](const Path& left, const std::set<int64_t>& committed, size_t) {
                     return save_reference().unsound(left / "run", committed, 9);
                   })
      .first_fault;
}

class PlantedInTheCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    const Scratch scratch;
    calls_ = record(scratch.path(), save_command(scratch.path(), "stop", "9")).calls;
    ASSERT_EQ(fault_of(calls_), "");
  }
  // The fault after omitting the calls for which `left_out` holds.
  template <class F>
  std::string fault_without(F left_out) {
    std::vector<FileCall> some;
    for (const FileCall& call : calls_) {
      if (!left_out(call)) some.push_back(call);
    }
    EXPECT_LT(some.size(), calls_.size());
    return fault_of(some);
  }
  std::vector<FileCall> calls_;
};

bool is_flush_of(const FileCall& call, std::string_view end) {
  return call.operation == "flush" && call.path.ends_with(end);
}

TEST_F(PlantedInTheCalls, AShardIsNotFlushed) {
  EXPECT_NE(fault_without([](const auto& c) { return is_flush_of(c, ".safetensors"); }), "");
}

TEST_F(PlantedInTheCalls, TheManifestIsNotFlushed) {
  EXPECT_NE(fault_without([](const auto& c) { return is_flush_of(c, "manifest.json"); }), "");
}

TEST_F(PlantedInTheCalls, TheDirectoryIsNotFlushed) {
  EXPECT_NE(fault_without([](const auto& c) { return is_flush_of(c, ".partial"); }), "");
}

TEST_F(PlantedInTheCalls, TheParentIsNotFlushed) {
  EXPECT_NE(fault_without([](const auto& c) { return is_flush_of(c, "checkpoints"); }), "");
}

TEST_F(PlantedInTheCalls, ANewParentOfAllIsNotFlushed) {
  EXPECT_NE(fault_without([](const auto& c) { return is_flush_of(c, "run"); }), "");
}

}  // namespace
}  // namespace birkhoff::testing
