// Import and export with one of their file calls failing, for each call in turn: their result is
// there whole or not at all, and the next run removes what a killed one left behind.
#include <gmock/gmock.h>

#include <cstring>

#include "tests/faults/cuts.h"
#include "tests/faults/recording.h"

namespace birkhoff::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

Tree beneath(const Tree& tree, const std::string& directory) {
  Tree part;
  for (const auto& [name, contents] : tree)
    if (name.starts_with(directory + "/")) part.emplace(name.substr(directory.size()), contents);
  return part;
}

// Commands run in the directory, so that their results do not depend on its path.
class ExchangeFaults : public ::testing::TestWithParam<const char*> {
 protected:
  ExchangeFaults() {
    const bool exports = GetParam() == std::string("export");
    const std::string golden = BIRKHOFF_SOURCE_DIR "/tests/golden/hf/pairs";
    if (exports) {
      const Finished made = run_program(
          {BIRKHOFF_BINARY, "import", golden, "--out", (source_.path() / "run").string()});
      check(made.code == 0, "{}", made.err);
    }
    arguments_ = exports ? Command{"export", (source_.path() / "run").string(), "--to", "hf"}
                         : Command{"import", golden};
    const Scratch scratch;
    whole_ = record(scratch.path(), command(scratch.path()));
    check(whole_.finished.code == 0, "{}", whole_.finished.err);
    left_ = read_tree(scratch.path());
    made_ = beneath(left_, "made");
    check(made_.size() >= 2, "nothing was made");
  }

  Command command(const Path& directory) const {
    Command all = {"/usr/bin/env", "-C", directory.string(), BIRKHOFF_BINARY};
    all.insert(all.end(), arguments_.begin(), arguments_.end());
    all.insert(all.end(), {"--out", "made"});
    return all;
  }

  std::vector<FileCall> sample() const {
    std::vector<FileCall> some;
    for (const FileCall& call : whole_.calls)
      if (call.operation != "write" || call.number % stride_of(5) == 0) some.push_back(call);
    return some;
  }

  // The result is whole or absent, and the next run makes it, whatever a killed one has left
  // behind.
  void expect_whole_or_nothing(const Path& directory) const {
    const bool there = std::filesystem::exists(directory / "made");
    if (there) {
      EXPECT_TRUE(beneath(read_tree(directory), "made") == made_);
    }
    Finished again = run_program(command(directory));
    if (there) {
      EXPECT_THAT(again.code, AnyOf(2, 5)) << again.err;
      EXPECT_THAT(again.err, HasSubstr("made"));
      std::filesystem::remove_all(directory / "made");
      again = run_program(command(directory));
    }
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(beneath(read_tree(directory), "made") == made_);
  }

  Scratch source_;
  Command arguments_;
  Recording whole_;
  Tree left_, made_;
};

TEST_P(ExchangeFaults, TheRecordingIsWhole) {
  Disk disk;
  for (const FileCall& call : whole_.calls) disk.apply(call);
  EXPECT_TRUE(disk.live() == left_);
}

TEST_P(ExchangeFaults, AnErrorIsOneLine) {
  for (const FileCall& call : sample()) {
    const Fault fault = failing(call);
    SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), command(scratch.path()));
    if (call.operation != "close") {
      EXPECT_EQ(ran.code, 5) << ran.err;
    }
    if (ran.code != 0) {
      EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
      EXPECT_THAT(ran.err, HasSubstr(std::strerror(fault.error)));
      EXPECT_THAT(ran.err, AnyOf(HasSubstr("made"), HasSubstr(" .: ")));
    }
    expect_whole_or_nothing(scratch.path());
    if (HasFailure()) return;
  }
}

TEST_P(ExchangeFaults, AKillLeavesAllOrNothing) {
  const char* const kinds[] = {"kill_before", "kill_after", "torn"};
  size_t next = 0;
  for (const FileCall& call : sample()) {
    const Fault fault{.kind = kinds[next++ % 3], .at = call.number};
    SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), command(scratch.path()));
    EXPECT_EQ(ran.code, 128 + 9) << ran.err;
    expect_whole_or_nothing(scratch.path());
    if (HasFailure()) return;
  }
}

TEST_P(ExchangeFaults, ShortWritesAreInvisible) {
  const Scratch scratch;
  const Fault fault{.kind = "short", .at = 1, .forever = true};
  const Finished ran = run_with(fault, scratch.path(), command(scratch.path()));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(read_tree(scratch.path()) == left_);
}

TEST_P(ExchangeFaults, APowerCutLeavesAllOrNothing) {
  const Cuts found = cut_power(
      whole_.calls, [](const FileCall&) { return true; },
      [&](const Path& left, const std::set<int64_t>&, size_t) -> std::string {
        if (!std::filesystem::exists(left / "made")) return "";
        return beneath(read_tree(left), "made") == made_ ? "" : "what is there is not whole";
      });
  EXPECT_EQ(found.first_fault, "");
  EXPECT_GT(found.states, 20u);
  // After the last call, with which the command reports that it is done, the result is there.
  Disk disk;
  for (const FileCall& call : whole_.calls) disk.apply(call);
  for (const Tree& tree : disk.after_cut()) EXPECT_TRUE(beneath(tree, "made") == made_);
}

INSTANTIATE_TEST_SUITE_P(Of, ExchangeFaults, ::testing::Values("import", "export"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace birkhoff::testing
