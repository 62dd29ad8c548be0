// A save whose Nth file call goes wrong, for every N: no committed checkpoint is lost, none is
// torn, the process ends as it should, and what is left behind does not disturb the next run.
#include <gmock/gmock.h>

#include <cstring>

#include "tests/faults/disk.h"
#include "tests/faults/save_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

// The steps that a run reported as saved.
std::set<int64_t> committed_in(const Finished& ran) {
  std::set<int64_t> steps;
  for (const std::string& line : lines_of(ran.err)) {
    const size_t at = line.find("info: step ");
    if (at != line.npos && line.ends_with(": saved"))
      steps.insert(std::stoll(line.substr(at + 11)));
  }
  return steps;
}

// The run's files without its log, whose times differ.
Tree without_log(const Path& directory) {
  Tree tree = read_tree(directory / "run");
  std::erase_if(tree, [](const auto& entry) { return entry.first.starts_with("log"); });
  return tree;
}

// Calls that a save cannot do without.
bool essential(const FileCall& call) {
  const bool saves = call.path.find(".partial") != call.path.npos || call.path == "run/checkpoints";
  return saves && call.operation != "close" && call.operation != "open";
}

class SaveFaults : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const Scratch scratch;
    const Recording whole = record(scratch.path(), save_command(scratch.path()));
    ASSERT_EQ(whole.finished.code, 0) << whole.finished.err;
    calls_ = new std::vector(whole.calls);
    left_ = new Tree(without_log(scratch.path()));
    ASSERT_EQ(run_program(next_command(scratch.path())).code, 0);
    left_by_next_ = new Tree(without_log(scratch.path()));
    for (const FileCall& call : *calls_) {
      if (call.operation == "mkdir" && call.path == "run/checkpoints") first_ = call.number;
      if (committed_by(call) == 6) second_ = call.number;
    }
    ASSERT_GT(second_, first_ + 50);
  }
  static void TearDownTestSuite() { delete calls_, delete left_, delete left_by_next_; }

  // Every call of the third save and of the pruning after it, and a sample of the earlier calls.
  static std::vector<FileCall> swept() {
    std::vector<FileCall> some;
    for (const FileCall& call : *calls_) {
      if (call.number > second_ || call.number % stride_of(11) == 0) some.push_back(call);
    }
    return some;
  }

  static void expect_sound(const Path& directory, const std::set<int64_t>& committed) {
    EXPECT_EQ(save_reference().unsound(directory / "run", committed, kKept), "");
  }

  // The same run with one more save.
  static Command next_command(const Path& directory) {
    Command command = save_command(directory);
    command.push_back("12");
    return command;
  }
  // Files left behind do not matter: the next run ends as usual.
  static void expect_next_run_ends_as_ever(const Path& directory) {
    const Finished again = run_with({}, directory, next_command(directory));
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(without_log(directory) == *left_by_next_) << "files are left over or missing";
  }

  static std::vector<FileCall>* calls_;
  static Tree *left_, *left_by_next_;
  static size_t first_, second_;  // calls: the first of the first save, the last of the second
};
std::vector<FileCall>* SaveFaults::calls_ = nullptr;
Tree *SaveFaults::left_ = nullptr, *SaveFaults::left_by_next_ = nullptr;
size_t SaveFaults::first_ = 0, SaveFaults::second_ = 0;

// If `starting`, before the first save, the line names what could not be opened or made.
void expect_one_line_about(const Finished& ran, const FileCall& call, const Fault& fault,
                           bool starting) {
  std::vector<std::string> errors;
  for (const std::string& line : lines_of(ran.err)) {
    if (line.starts_with("fault_save: ")) errors.push_back(line);
  }
  ASSERT_EQ(errors.size(), 1u) << ran.err;
  EXPECT_THAT(errors[0], HasSubstr(std::strerror(fault.error)));
  if (starting) {
    EXPECT_THAT(errors[0], ContainsRegex("cannot [a-z ]+(: Failed opening file)? /"));
    return;
  }
  EXPECT_THAT(
      errors[0],
      ContainsRegex(
          "cannot save checkpoint /.*/step-0000000[369]: .* \\([0-9]+ bytes needed, [0-9]+ "
          "free\\)|cannot delete the oldest checkpoints: .*/run/checkpoints|cannot (open the "
          "log|create the directory).*/run/log|cannot open the directory /.*/run/checkpoints:"));
  if (call.path.find(".partial") != call.path.npos) {
    EXPECT_THAT(errors[0], HasSubstr("bytes needed"));
  }
}

TEST_F(SaveFaults, AnErrorStopsTheRunWithOneLine) {
  for (const FileCall& call : swept()) {
    for (size_t i = 0; i < 8; ++i) {
      if (i % stride_of(4) != call.number % stride_of(4)) continue;
      const Fault fault{
          .kind = "fail", .at = call.number, .error = kErrors[i / 2], .forever = i % 2 == 1};
      SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
      const Scratch scratch;
      const Finished ran = run_with(fault, scratch.path(), save_command(scratch.path()));
      EXPECT_THAT(ran.code, AnyOf(0, 5)) << ran.err;
      if (essential(call)) {
        EXPECT_EQ(ran.code, 5);
      }
      if (ran.code != 0) expect_one_line_about(ran, call, fault, call.number < first_);
      expect_sound(scratch.path(), committed_in(ran));
      expect_next_run_ends_as_ever(scratch.path());
      if (HasFailure()) return;
    }
  }
}

TEST_F(SaveFaults, AnErrorIsAWarningAndLaterSavesSucceed) {
  for (const FileCall& call : *calls_) {
    if (call.number < first_ || call.number > second_ || call.path.ends_with(".log")) continue;
    if (call.number % stride_of(3) != 0) continue;
    const Fault fault{.kind = "fail", .at = call.number, .error = kErrors[call.number / 3 % 4]};
    SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), save_command(scratch.path(), "continue"));
    EXPECT_EQ(ran.code, 0) << ran.err;
    std::set<int64_t> committed = committed_in(ran);
    EXPECT_TRUE(committed.contains(9));
    EXPECT_GE(committed.size(), 2u);
    if (essential(call) || committed.size() == 2) {
      EXPECT_THAT(
          ran.err,
          ContainsRegex(
              "warning: step [36]: no checkpoint was saved, but training continues: cannot .*"));
    }
    expect_sound(scratch.path(), committed);
    if (HasFailure()) return;
  }
}

TEST_F(SaveFaults, ShortWritesAreInvisible) {
  std::vector<Fault> faults = {{.kind = "short", .at = 1, .forever = true}};
  for (const FileCall& call : swept()) {
    if (call.operation == "write") faults.push_back({.kind = "short", .at = call.number});
  }
  for (const Fault& fault : faults) {
    SCOPED_TRACE(to_string(fault));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), save_command(scratch.path()));
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(committed_in(ran).size(), 3u);
    EXPECT_TRUE(without_log(scratch.path()) == *left_);
    expect_sound(scratch.path(), {6, 9});
    if (HasFailure()) return;
  }
}

TEST_F(SaveFaults, AKillLosesNothingThatWasCommitted) {
  for (const FileCall& call : swept()) {
    for (const char* kind : {"kill_before", "torn", "kill_after"}) {
      if (kind == std::string("torn") && call.operation != "write") continue;
      const Fault fault{.kind = kind, .at = call.number};
      SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
      const Scratch scratch;
      const Finished ran = run_with(fault, scratch.path(), save_command(scratch.path()));
      EXPECT_EQ(ran.code, 128 + 9) << ran.err;
      expect_sound(scratch.path(), committed_in(ran));
      expect_next_run_ends_as_ever(scratch.path());
      if (HasFailure()) return;
    }
  }
}

// 64 disks, from a full one to one that has room for all three saves.
TEST_F(SaveFaults, ADiskThatRunsFull) {
  size_t written = 0;
  for (const FileCall& call : *calls_) written += call.bytes.size();
  std::set<size_t> saved;
  for (size_t i = 0; i < 64; ++i) {
    const Fault fault{.room = int64_t(i * written / 63)};
    SCOPED_TRACE(to_string(fault));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), save_command(scratch.path()));
    EXPECT_THAT(ran.code, AnyOf(0, 5)) << ran.err;
    if (ran.code == 5) {
      EXPECT_THAT(ran.err, ContainsRegex("No space left on device \\([0-9]+ bytes "
                                         "needed, [0-9]+ free\\)\n$"));
    }
    saved.insert(committed_in(ran).size());
    expect_sound(scratch.path(), committed_in(ran));
    if (i % stride_of(5) == 0) expect_next_run_ends_as_ever(scratch.path());
    if (HasFailure()) return;
  }
  EXPECT_THAT(saved, ::testing::ElementsAre(0u, 1u, 2u, 3u));
}

// The kernel's own limit, whose signal would kill an unprepared program.
TEST_F(SaveFaults, AFileThatMayNotGrow) {
  for (const int limit : {251, 299, 311, 500, 1000, 1029, 2000, 2389}) {
    SCOPED_TRACE(limit);
    const Scratch scratch;
    Command command = save_command(scratch.path());
    const Finished first = run_program({FAULT_SAVE, (scratch / "run").string(), "stop", "2", "3"});
    EXPECT_EQ(first.code, 0) << first.err;
    command.insert(command.begin(), {"/usr/bin/prlimit", fmt::format("--fsize={}", limit)});
    const Finished ran = run_with({}, scratch.path(), command);
    EXPECT_EQ(ran.code, 5) << ran.err;
    EXPECT_THAT(ran.err, ContainsRegex("File too large \\([0-9]+ bytes needed"));
    expect_sound(scratch.path(), {3});
    expect_next_run_ends_as_ever(scratch.path());
  }
}

}  // namespace
}  // namespace birkhoff::testing
