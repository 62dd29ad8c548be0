#include "engine/train/bench_report.h"

#include <algorithm>
#include <initializer_list>
#include <numeric>

#include "base/format.h"
#include "engine/train/operator_kinds.h"
#include "kernels/adamw.h"
#include "kernels/mhc.h"

namespace birkhoff {
namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}
double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}
double most(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

}  // namespace

double median(std::vector<double> values) {
  const size_t half = values.size() / 2;
  std::sort(values.begin(), values.end());
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

OperatorSummary summary_of(const OperatorRow& row, const StepTimes& times,
                           const PeakRates& limits) {
  const std::vector<double> seconds(row.seconds.begin(), row.seconds.end());
  const auto calls = double(seconds.size());
  OperatorSummary s{.calls = calls / double(times.seconds.size()),
                    .median = median(seconds),
                    .least = least(seconds),
                    .step_seconds = mean(row.in_step),
                    .share = mean(row.in_step) / mean(times.seconds),
                    .flops = row.done.flops / calls,
                    .bytes = row.done.bytes / calls};
  const double memory = s.bytes / limits.bandwidth();
  const double arithmetic = s.flops / limits.peak(row.bf16_factors);
  s.floor = std::max(memory, arithmetic), s.memory_bound = memory >= arithmetic;
  return s;
}

std::vector<const OperatorRow*> by_time(const StepTimes& times) {
  std::vector<const OperatorRow*> rows;
  for (const OperatorRow& row : times.operators)
    if (!row.seconds.empty()) rows.push_back(&row);
  std::stable_sort(rows.begin(), rows.end(), [](const OperatorRow* a, const OperatorRow* b) {
    return mean(a->in_step) > mean(b->in_step);
  });
  return rows;
}

GroupSummary group_of(const BenchResult& r, bool (*belongs)(const Operator&)) {
  GroupSummary g;
  double at_peak = 0;  // seconds
  const auto steps = double(r.step.seconds.size());
  for (const OperatorRow& row : r.step.operators) {
    if (!belongs(*row.op)) continue;
    g.seconds += mean(row.in_step), g.flops += row.done.flops / steps;
    at_peak += row.done.flops / steps / r.limits().peak(row.bf16_factors);
  }
  g.share_of_peak = g.seconds > 0 ? at_peak / g.seconds : 0;
  return g;
}

StreamsSummary streams_of(const BenchResult& r) {
  std::vector<double> own(r.step.seconds.size()), fractions, whole;
  for (const OperatorRow& row : r.step.operators)
    if (is_of_streams(*row.op))
      for (size_t i = 0; i < own.size(); ++i) own[i] += row.in_step[i];
  for (size_t i = 0; i < own.size(); ++i) {
    fractions.push_back(own[i] / (r.step.seconds[i] - own[i]));
    if (r.plain) whole.push_back(r.step.seconds[i] / r.plain->seconds[i] - 1);
  }
  StreamsSummary s{.seconds = median(own),
                   .fraction = median(fractions),
                   .least = least(fractions),
                   .most = most(fractions)};
  if (!r.plain) return s;
  s.of_plain = s.seconds / median(r.plain->seconds);
  s.whole = median(whole), s.whole_least = least(whole), s.whole_most = most(whole);
  return s;
}

namespace {

PassSummary passes_of(const BenchResult& r, std::initializer_list<const Operator*> operators,
                      double Bandwidths::*roof) {
  PassSummary s;
  const size_t steps = r.step.seconds.size();
  std::vector<double> seconds(steps), bandwidths, shares;
  for (const OperatorRow& row : r.step.operators) {
    if (std::find(operators.begin(), operators.end(), row.op) == operators.end()) continue;
    s.bytes += row.done.bytes / double(steps);
    for (size_t i = 0; i < steps; ++i) seconds[i] += row.in_step[i];
  }
  if (!s.exists()) return s;
  for (size_t i = 0; i < steps; ++i) {
    bandwidths.push_back(s.bytes / seconds[i]);
    shares.push_back(bandwidths[i] / (r.step.beside[i].*roof));
  }
  s.seconds = mean(seconds), s.bandwidth = median(bandwidths);
  s.share = median(shares), s.least = least(shares), s.most = most(shares);
  return s;
}

}  // namespace

PassSummary update_of(const BenchResult& r) { return passes_of(r, {&kAdamW}, &Bandwidths::sweep); }
PassSummary closes_of(const BenchResult& r) {
  return passes_of(r, {&kMhcClose, &kMhcCloseBackward}, &Bandwidths::copy_streaming);
}

ModelSummary model_of(const BenchResult& r) {
  ModelSummary m{.flops = 6 * double(r.parameters.active) * double(r.tokens())};
  m.bf16 = r.config.train.precision == Precision::bf16 && r.limits().bf16 > 0;
  m.share_of_peak = m.flops / median(r.step.seconds) / r.limits().peak(m.bf16);
  return m;
}

}  // namespace birkhoff
