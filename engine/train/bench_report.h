#pragma once
// The reports of `birkhoff bench`: a table for people, JSON for scripts/roofline.py and others.
#include <string>

#include "engine/train/bench.h"

namespace birkhoff {

// One operator at one shape, over all measured steps. Seconds are per call unless said otherwise.
struct OperatorSummary {
  double calls = 0;  // per step
  double median = 0, least = 0;
  double step_seconds = 0, share = 0;  // of all its calls, mean over steps; fraction of the step
  double flops = 0, bytes = 0;         // per call, mean: what it did, not what was planned for
  // max(bytes / bandwidth, flops / peak): no call that finds its data in memory can be faster. One
  // that finds it in a cache may be.
  double floor = 0;
  bool memory_bound = false;  // whether the first of the two is larger
};
OperatorSummary summary_of(const OperatorRow& row, const StepTimes& times, const PeakRates& limits);

// A group of products, inside the step.
struct GroupSummary {
  double seconds = 0, flops = 0;  // per step, mean
  double share_of_peak = 0;       // Σ flops / peak of their factors, over the seconds
};

// The cost of the residual streams: their operators' seconds over those of a step without them.
// That is the rest of the same step (which lacks the additions of a plain residual, under a
// hundredth of it), or the plain step that alternates with it.
struct StreamsSummary {
  double seconds = 0;                                 // per step, median
  double fraction = 0, least = 0, most = 0;           // over the same step's rest, median and range
  double of_plain = 0;                                // over the plain step's median
  double whole = 0, whole_least = 0, whole_most = 0;  // step / plain step − 1, median and range
};
StreamsSummary streams_of(const BenchResult& result);

// Operators that are passes over memory, inside the step. Their bandwidth is compared with one that
// was measured just before the same step, since memory bandwidth changes from second to second on a
// shared machine.
struct PassSummary {
  double seconds = 0, bytes = 0;             // per step, mean
  double bandwidth = 0;                      // median over the steps
  double share = 0, least = 0, most = 0;     // of the bandwidth measured before, median and range
  bool exists() const { return bytes > 0; }  // otherwise all of it is 0
};

struct ModelSummary {
  double flops = 0;   // 6 · active parameters · tokens
  bool bf16 = false;  // whether the peak is that of bf16
  double share_of_peak = 0;
};

GroupSummary group_of(const BenchResult& result, bool (*belongs)(const Operator&));
// AdamW on all parameters, against reading and writing in place.
PassSummary update_of(const BenchResult& result);
// mhc_close and its backward against copying by streaming stores.
PassSummary closes_of(const BenchResult& result);
ModelSummary model_of(const BenchResult& result);
std::vector<const OperatorRow*> by_time(const StepTimes& times);  // those with calls, longest first

bool beyond_cache(const BenchResult& result);  // L3 is known, and the arrays are twice as large

double median(std::vector<double> values);  // REQUIRES one value at least

std::string to_table(const BenchResult& result);
// `config_file`: as the user named it.
std::string to_json(const BenchResult& result, const std::string& config_file);
// Whether a file's text was made by to_json, of this or another version.
bool is_bench_json(std::string_view text);

}  // namespace birkhoff
