#pragma once
// What `birkhoff bench` says: a table for people, JSON for scripts/roofline.py and others.
#include <string>

#include "engine/train/bench.h"

namespace birkhoff {

// Of all measured steps, an operator at a shape. Seconds are of a call unless said otherwise.
struct OperatorSummary {
  double calls = 0;  // a step
  double median = 0, least = 0;
  double step_seconds = 0, share = 0;  // of all its calls, mean over steps; of the step
  double flops = 0, bytes = 0;         // of a call, mean: what it did, not what was planned for
  // max(bytes / bandwidth, flops / peak): no call could be faster that finds its data in memory.
  // One that finds it in a cache may be.
  double floor = 0;
  bool memory_bound = false;  // the first of the two
};
OperatorSummary summary_of(const OperatorRow& row, const StepTimes& times, const PeakRates& limits);

// Products that belong together, inside the step.
struct GroupSummary {
  double seconds = 0, flops = 0;  // of a step, mean
  double share_of_peak = 0;       // Σ flops / peak of their factors, over the seconds
};

// What the streams cost: their operators' seconds over those of a step without them, which is the
// rest of the same step (it lacks the additions of a plain residual, under a hundredth of it), or
// the plain step taken in turn.
struct StreamsSummary {
  double seconds = 0;                                 // of a step, median
  double fraction = 0, least = 0, most = 0;           // of the same step's rest, median and range
  double of_plain = 0;                                // of the plain step's median
  double whole = 0, whole_least = 0, whole_most = 0;  // step / plain step − 1, median and range
};
StreamsSummary streams_of(const BenchResult& result);

// Operators that are passes over memory, inside the step. Their bandwidth is held against one that
// was measured just before the same step: that of memory changes from second to second where a
// machine is shared.
struct PassSummary {
  double seconds = 0, bytes = 0;             // of a step, mean
  double bandwidth = 0;                      // median over the steps
  double share = 0, least = 0, most = 0;     // of what was measured beside it, median and range
  bool exists() const { return bytes > 0; }  // else all of it is 0
};

struct ModelSummary {
  double flops = 0;   // 6 · active parameters · tokens
  bool bf16 = false;  // whether the peak is that of bf16
  double share_of_peak = 0;
};

GroupSummary group_of(const BenchResult& result, bool (*belongs)(const Operator&));
// AdamW, of all parameters, against reading and writing in place.
PassSummary update_of(const BenchResult& result);
// mhc_close and its backward against copying by streaming stores.
PassSummary closes_of(const BenchResult& result);
ModelSummary model_of(const BenchResult& result);
std::vector<const OperatorRow*> by_time(const StepTimes& times);  // those that were called

bool beyond_cache(const BenchResult& result);  // what bandwidths were measured with; L3 is known

double median(std::vector<double> values);  // REQUIRES one value at least

std::string to_table(const BenchResult& result);
// `config_file`: as the user named it.
std::string to_json(const BenchResult& result, const std::string& config_file);
// Whether a file's text is what to_json of this or another version gave.
bool is_bench_json(std::string_view text);

}  // namespace birkhoff
