#pragma once
// metrics.jsonl: a line of JSON for each step and each evaluation, in the order they happened.
//
//   {"step":1,"loss":5.54,"grad_norm":1.25,"lr":0.001,"tokens":4096,"step_seconds":0.5,
//    "tokens_per_second":8192}                                                        (one line)
//   {"step":100,"eval_loss":2.5,"eval_bits_per_byte":1.5,"eval_tokens":65536,
//    "expert_load":[[12,20],[16,16]],"eval_seconds":3.5}                              (one line)
//
// Only training lines have `loss`, only evaluation lines have `eval_loss`; steps count from 1.
// Timing fields come last, from `step_seconds` or `eval_seconds` on; what precedes them is a
// function of the run alone, byte by byte. Numbers are the shortest text that reads back as the
// same double. A value that is not finite is null, and named before the timing fields:
// "nonfinite":{"loss":"nan"}; a time that is not finite is null. Numbers in `streams` have 7
// digits, about the precision of the f32 sums they come from; one that is not finite is null.
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"

namespace birkhoff {

// Tokens that each expert of each MoE layer received in training; empty: the line has none.
using ExpertLoad = std::vector<std::vector<int64_t>>;
using NamedValues = std::vector<std::pair<std::string, double>>;
// A value per sublayer, under `streams` in the line; empty: the line has none.
using StreamSeries = std::vector<std::pair<std::string, std::vector<double>>>;

struct StepMetrics {
  int64_t step = 0;
  double loss = 0;       // mean over the step's tokens, natural logarithm
  double grad_norm = 0;  // before clipping
  double lr = 0;
  int64_t tokens = 0;      // trained on since the run began
  NamedValues extra = {};  // further values that are a function of the run alone
  StreamSeries streams = {};
  double step_seconds = 0;
  double tokens_per_second = 0;
  NamedValues extra_times = {};  // e.g. mfu
};

struct EvalMetrics {
  int64_t step = 0;  // after this step
  double eval_loss = 0;
  double eval_bits_per_byte = 0;
  int64_t eval_tokens = 0;
  NamedValues extra = {};
  ExpertLoad expert_load = {};  // since the previous evaluation
  double eval_seconds = 0;
};

// A line, with its newline. Names of extra values are quoted, not checked.
std::string metrics_line(const StepMetrics& metrics);
std::string metrics_line(const EvalMetrics& metrics);

// Appends to a file. Each line is one write to the kernel, so that a killed process tears none.
// Lines written before flush() returned survive a power cut. A link, FIFO or device is refused.
// Errors are ResourceError (exit code 5). Not synchronised.
class MetricsWriter {
 public:
  explicit MetricsWriter(const Path& path);
  void write(const StepMetrics& metrics) { append(metrics_line(metrics)); }
  void write(const EvalMetrics& metrics) { append(metrics_line(metrics)); }
  void flush() { file_.flush(); }
  bool removed() const;  // the file has no name any more: nobody can find what is written

 private:
  void append(const std::string& line);
  File file_;
};

struct MetricsRecord {
  int64_t step = 0;
  size_t begin = 0, end = 0;             // of its line in the file, newline included
  std::map<std::string, double> values;  // its numbers, including those that are not finite
};

struct MetricsLog {
  std::vector<MetricsRecord> records;
  // The last line is incomplete: the machine stopped during a write. No record holds it; a resumed
  // run cuts the file to the end of the last record it keeps.
  bool torn = false;
};

// Parses a metrics file and trusts nothing in it: lines ≤ 1 MiB, nested ≤ 4 deep, steps that do not
// descend, `nonfinite` as above. Throws CheckpointError (exit code 4) with the line's number
// otherwise.
MetricsLog parse_metrics(std::string_view text, std::string_view place);
MetricsLog read_metrics(const Path& path);

struct CutMetrics {
  Path aside;              // new name of a file that could not be read as metrics; else empty
  bool evaluated = false;  // the file has the evaluation after `step`
};

// Removes from a metrics file the lines of steps after `step`, and a torn line, so that a resumed
// run writes them again. A file that cannot be read as metrics is renamed. Anything but a regular
// file (a link, a FIFO) is refused and left alone; other names of the file (hard links) keep their
// content. Throws ResourceError (exit code 5).
CutMetrics cut_metrics(const Path& path, int64_t step);

}  // namespace birkhoff
