#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "engine/metrics/metrics.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// Writes a record's values as those of a step and reads them back.
void require_round_trip(const MetricsRecord& record) {
  constexpr std::string_view kFixed[] = {"step",        "loss",         "grad_norm",
                                         "lr",          "tokens",       "nonfinite",
                                         "expert_load", "step_seconds", "tokens_per_second"};
  StepMetrics m{.step = record.step};
  for (const auto& [name, value] : record.values) {
    if (std::find(std::begin(kFixed), std::end(kFixed), name) == std::end(kFixed))
      m.extra.emplace_back(name, value);
    else if (name == "loss")
      m.loss = value;
  }
  const MetricsLog log = parse_metrics(metrics_line(m), "W");
  require(log.records.size() == 1 && log.records[0].step == record.step, "a line is not read back");
  const auto& values = log.records[0].values;
  for (const auto& [name, value] : m.extra)
    require(values.contains(name) && same(values.at(name), value), "{} is not read back", value);
  require(same(values.at("loss"), m.loss), "a loss of {} is not read back", m.loss);
}

}  // namespace

bool metrics(std::string_view bytes) {
  MetricsLog log;
  if (!accepts<CheckpointError>([&] { log = parse_metrics(bytes, "F"); })) return false;
  size_t at = 0;
  int64_t step = 0;
  for (const MetricsRecord& record : log.records) {
    require(record.begin == at && bytes.find('\n', at) + 1 == record.end, "a line at {} to {}",
            record.begin, record.end);
    require(record.step >= step, "step {} behind {}", record.step, step);
    at = record.end, step = record.step;
    require_round_trip(record);
  }
  require(log.torn == (at < bytes.size()), "{} bytes behind the last line, torn: {}",
          bytes.size() - at, log.torn);
  return true;
}

}  // namespace birkhoff::fuzz
