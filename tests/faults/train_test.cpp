// The shipped binary with one of its file calls failing: a sample of all calls of a run, of every
// kind; BIRKHOFF_FAULTS=all takes every call. Covers checkpoints, metrics, config and lock.
#include <gmock/gmock.h>

#include <cstring>

#include "engine/metrics/metrics.h"
#include "tests/faults/cuts.h"
#include "tests/faults/recording.h"
#include "tests/faults/soundness.h"
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr size_t kAll = 9;  // more than the checkpoints made: none is pruned
std::vector<std::string> lines_with(const std::string& text, std::string_view what) {
  std::vector<std::string> lines;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    if (text.substr(at, end - at).find(what) != text.npos)
      lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

std::set<int64_t> committed_in(const Finished& ran) {
  std::set<int64_t> steps;
  for (const std::string& line : lines_with(ran.err, ": saved ")) {
    steps.insert(std::stoll(line.substr(line.find("info: step ") + 11)));
  }
  return steps;
}

// A run continues without lines of its log, a file is closed whatever close() returns, and unlink
// is used to make sure that a name is free.
bool can_do_without(const FileCall& call) {
  return call.operation == "close" || call.operation == "unlink" ||
         (call.operation == "write" && call.path.ends_with(".log"));
}

// The name of an existing directory is flushed again, in case its maker was killed before flushing
// it. If the file system is read-only, there is nothing to flush then; for a new name the same
// errno is an error.
bool is_name_that_was_there(const FileCall& call, const Fault& fault) {
  return call.operation == "flush" && call.path.find('.') == call.path.npos && fault.error == EROFS;
}

bool is_bulk(const FileCall& call) {
  return call.operation == "write" && call.path.ends_with(".safetensors");
}

class TrainFaults : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    small_ = new SmallRun;
    const Scratch scratch;
    whole_ = new Recording(record(scratch.path(), train(scratch.path())));
    ASSERT_EQ(whole_->finished.code, 0) << whole_->finished.err;
    ASSERT_EQ(committed_in(whole_->finished), (std::set<int64_t>{3, 6}));
    reference_ = new Reference(scratch / "run");
    left_ = new Tree(read_tree(scratch.path()));
  }
  static void TearDownTestSuite() { delete small_, delete whole_, delete reference_, delete left_; }

  static Command train(const Path& directory, const std::string& on_error = "stop") {
    return {BIRKHOFF_BINARY,          "train",
            small_->at("small.yaml"), "run.dir=" + (directory / "run").string(),
            "train.eval_batches=1",   "checkpoint.on_error=" + on_error};
  }

  // Every call, except that the writes of tensors, which are alike, are sampled.
  static std::vector<FileCall> sample() {
    std::vector<FileCall> some;
    for (const FileCall& call : whole_->calls) {
      if (!is_bulk(call) || call.number % stride_of(97) == 0) some.push_back(call);
    }
    return some;
  }

  static void expect_sound(const Path& directory, const std::set<int64_t>& committed) {
    const Path run = directory / "run";
    EXPECT_EQ(reference_->unsound(run, committed, kAll), "");
    if (std::filesystem::exists(run / "metrics.jsonl")) {
      EXPECT_NO_THROW(read_metrics(run / "metrics.jsonl"));
    }
  }

  static SmallRun* small_;
  static Recording* whole_;
  static Reference* reference_;
  static Tree* left_;
};
SmallRun* TrainFaults::small_ = nullptr;
Recording* TrainFaults::whole_ = nullptr;
Reference* TrainFaults::reference_ = nullptr;
Tree* TrainFaults::left_ = nullptr;

// Replaying the recording gives the directory: the shim misses nothing that a run does.
TEST_F(TrainFaults, TheRecordingIsWhole) {
  Disk disk;
  for (const FileCall& call : whole_->calls) disk.apply(call);
  EXPECT_TRUE(disk.live() == *left_);
}

void expect_one_line(const Finished& ran, const FileCall& call, const Fault& fault) {
  const std::vector<std::string> errors = lines_with(ran.err, "birkhoff: ");
  ASSERT_EQ(errors.size(), 1u) << ran.err;
  EXPECT_THAT(errors[0], HasSubstr(std::strerror(fault.error)));
  EXPECT_THAT(errors[0], ContainsRegex("/run\\b"));
  if (call.path.find(".partial") != call.path.npos) {
    EXPECT_THAT(errors[0], ContainsRegex("cannot save checkpoint /.*/step-0000000[36]: .*"
                                         "\\([0-9]+ bytes needed, [0-9]+ free\\)$"));
  }
}

TEST_F(TrainFaults, AnErrorStopsTheRunWithOneLine) {
  for (const FileCall& call : sample()) {
    const Fault fault = failing(call);
    SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), train(scratch.path()));
    if (is_name_that_was_there(call, fault)) {
      EXPECT_TRUE(ran.code == 0 || ran.code == 5) << ran.err;
    } else if (!can_do_without(call)) {
      EXPECT_EQ(ran.code, 5) << ran.err;
    } else if (!fault.forever) {
      EXPECT_EQ(ran.code, 0) << ran.err;
    }
    if (ran.code != 0) expect_one_line(ran, call, fault);
    expect_sound(scratch.path(), committed_in(ran));
    if (HasFailure()) return;
  }
}

// on_error: continue applies to checkpoints only: a run that cannot write its metrics stops.
TEST_F(TrainFaults, AnErrorOfASaveIsAWarningWhereThatIsAsked) {
  bool saving = false;
  for (const FileCall& call : sample()) {
    saving = call.path.find("step-00000003") != call.path.npos && call.operation != "close";
    const bool metrics = call.path == "run/metrics.jsonl" && call.operation == "write";
    if (!saving && !metrics) continue;
    const Fault fault{.kind = "fail", .at = call.number, .error = kErrors[call.number % 4]};
    SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
    const Scratch scratch;
    const Finished ran = run_with(fault, scratch.path(), train(scratch.path(), "continue"));
    EXPECT_EQ(ran.code, saving ? 0 : 5) << ran.err;
    if (saving) {
      EXPECT_EQ(committed_in(ran), (std::set<int64_t>{6}));
      EXPECT_EQ(
          lines_with(ran.err, "warning: step 3: no checkpoint was saved, but training continues: ")
              .size(),
          1u);
      const MetricsLog log = read_metrics(scratch / "run/metrics.jsonl");
      EXPECT_EQ(log.records.size(), 8u);  // six steps, two evaluations
    }
    expect_sound(scratch.path(), committed_in(ran));
    if (HasFailure()) return;
  }
}

TEST_F(TrainFaults, AKillLosesNothingThatWasCommitted) {
  const char* const kinds[] = {"kill_before", "kill_after", "torn"};
  size_t next = 0;
  for (const FileCall& call : sample()) {
    for (size_t k = 0; k < 3; ++k) {
      if (stride_of(3) == 3 && k != next % 3) continue;
      const Fault fault{.kind = kinds[k], .at = call.number};
      SCOPED_TRACE(to_string(fault) + ": " + to_string(call));
      const Scratch scratch;
      const Finished ran = run_with(fault, scratch.path(), train(scratch.path()));
      EXPECT_EQ(ran.code, 128 + 9) << ran.err;
      expect_sound(scratch.path(), committed_in(ran));
      if (HasFailure()) return;
    }
    ++next;
  }
}

TEST_F(TrainFaults, ShortWritesAreInvisible) {
  const Scratch scratch;
  const Fault fault{.kind = "short", .at = 1, .forever = true};
  const Finished ran = run_with(fault, scratch.path(), train(scratch.path()));
  EXPECT_EQ(ran.code, 0) << ran.err;
  expect_sound(scratch.path(), {3, 6});
  EXPECT_EQ(committed_in(ran).size(), 2u);
}

// The kernel's own limit also sends a signal, which must not end the process.
TEST_F(TrainFaults, AFileThatMayNotGrowIsAnError) {
  const Scratch scratch;
  Command command = train(scratch.path());
  command.insert(command.begin(), {"/usr/bin/prlimit", "--fsize=100000"});
  const Finished ran = run_with({}, scratch.path(), command);
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_THAT(ran.err, ContainsRegex("File too large \\([0-9]+ bytes needed, [0-9]+ free\\)\n$"));
  expect_sound(scratch.path(), {});
}

// The power fails in a real run: the metrics of a committed checkpoint's step are there too.
TEST_F(TrainFaults, APowerCutLosesNothingThatWasCommitted) {
  const Cuts found = cut_power(
      whole_->calls,
      [](const FileCall& call) { return !is_bulk(call) || call.number % stride_of(211) == 0; },
      [](const Path& left, const std::set<int64_t>& committed, size_t) -> std::string {
        const Path run = left / "run";
        if (const std::string why = reference_->unsound(run, committed, kAll); !why.empty())
          return why;
        if (committed.empty()) return "";
        const MetricsLog log = read_metrics(run / "metrics.jsonl");
        const int64_t last = log.records.empty() ? 0 : log.records.back().step;
        if (last < *committed.rbegin()) return fmt::format("metrics end at step {}", last);
        if (!std::filesystem::exists(run / "config.yaml")) return "the config is lost";
        return "";
      });
  EXPECT_EQ(found.first_fault, "");
  EXPECT_GT(found.states, 200u);
  std::printf("%zu cuts, %zu states\n", found.cuts, found.states);
}

}  // namespace
}  // namespace birkhoff::testing
