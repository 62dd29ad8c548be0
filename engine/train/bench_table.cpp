#include <algorithm>
#include <numeric>

#include "base/format.h"
#include "engine/train/bench_report.h"
#include "engine/train/operator_kinds.h"

namespace birkhoff {
namespace {

constexpr double kMiB = 1024 * 1024;
constexpr double kLeastShare = 1e-3;  // of the step; what takes less is only in the JSON

double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

std::string milliseconds(double seconds) {
  return seconds < 9.9995e-3 ? fmt::format("{:.4f}", 1e3 * seconds)
                             : fmt::format("{:.2f}", 1e3 * seconds);
}

void add_limits(const BenchResult& r, std::string& text) {
  text += fmt::format(
      "limits, before / after the steps; arrays of {:.0f} MiB{}\n", double(r.array_bytes) / kMiB,
      beyond_cache(r) ? ""
      : r.machine.l3 == 0
          ? "; the size of L3 is not known"
          : ", which are NOT much larger than L3: bandwidths may be those of the cache");
  text += fmt::format("  {:<28}{:>20}{:>20}\n", "", "1 thread",
                      r.threads == 1 ? "" : fmt::format("{} threads", r.threads));
  const auto row = [&](const char* name, double PeakRates::*of, const char* unit) {
    const auto cell = [&](const PeakRates& a, const PeakRates& b) {
      return fmt::format("{:.1f} / {:.1f}", a.*of / 1e9, b.*of / 1e9);
    };
    text += fmt::format("  {:<28}{:>20}{:>20} {}\n", name, cell(r.before.one, r.after.one),
                        r.threads == 1 ? "" : cell(r.before.all, r.after.all), unit);
  };
  row("copy", &PeakRates::copy, "GB/s");
  row("copy, streaming stores", &PeakRates::copy_streaming, "GB/s");
  row("read", &PeakRates::read, "GB/s");
  row("read and write in place", &PeakRates::sweep, "GB/s");
  row("f32 multiply-adds", &PeakRates::f32, "GFLOP/s");
  if (r.limits().bf16 > 0)
    row("bf16 products of pairs", &PeakRates::bf16, "GFLOP/s");
  else
    text += "  no instruction for bf16 products of pairs, so they run at the f32 rate\n";
}

void add_operators(const BenchResult& r, std::string& text) {
  text += fmt::format("\n{:>7}{:>11}{:>8}{:>11}{:>11}{:>9}{:>8}{:>9}  operator, shapes\n", "% step",
                      "ms/step", "calls", "median ms", "min ms", "GFLOP/s", "GB/s", "% floor");
  double share = 0, seconds = 0;
  size_t others = 0;
  for (const OperatorRow* row : by_time(r.step)) {
    const OperatorSummary s = summary_of(*row, r.step, r.limits());
    share += s.share, seconds += s.step_seconds;
    if (s.share < kLeastShare) {
      ++others;
      continue;
    }
    text += fmt::format("{:>7.2f}{:>11}{:>8g}{:>11}{:>11}{:>9.2f}{:>8.2f}{:>8.0f}{} {:<28} {}\n",
                        100 * s.share, milliseconds(s.step_seconds), s.calls,
                        milliseconds(s.median), milliseconds(s.least), s.flops / s.median / 1e9,
                        s.bytes / s.median / 1e9, 100 * s.floor / s.median,
                        s.memory_bound ? 'm' : 'c', row->op->name, row->shapes);
  }
  if (others > 0)
    text += fmt::format("{:>18} {} more operators, each less than {} % of the step\n", "", others,
                        100 * kLeastShare);
  text += fmt::format("{:>7.2f}{:>11} all operators; the rest of the step is spent between them\n",
                      100 * share, milliseconds(seconds));
}

void add_streams(const BenchResult& r, std::string& text) {
  if (r.config.model.residual == ResidualKind::plain) return;
  const StreamsSummary s = streams_of(r);
  text += fmt::format(
      "streams      {} ms in their operators: {:.2f} % ({:.2f} to {:.2f}) of the rest of the same "
      "step",
      milliseconds(s.seconds), 100 * s.fraction, 100 * s.least, 100 * s.most);
  if (!r.plain) {
    text += fmt::format("\nplain        {}\n", r.no_plain);
    return;
  }
  text += fmt::format(", {:.2f} % of the plain step\n", 100 * s.of_plain);
  text += fmt::format(
      "plain        {:.4f} s median, {:.4f} min, in {} alternating steps; whole steps differ by "
      "{:+.2f} % ({:+.2f} to {:+.2f}); differences within that range are noise\n",
      median(r.plain->seconds), least(r.plain->seconds), r.plain->seconds.size(), 100 * s.whole,
      100 * s.whole_least, 100 * s.whole_most);
}

void add_totals(const BenchResult& r, std::string& text) {
  const double step = median(r.step.seconds);
  text +=
      fmt::format("\nstep         {:.4f} s median, {:.4f} min; {:.0f} tokens, {:.1f} tokens/s\n",
                  step, least(r.step.seconds), double(r.tokens()), double(r.tokens()) / step);
  const ModelSummary m = model_of(r);
  text += fmt::format(
      "model        {:.4g} flop, 6 · {} active parameters · tokens: {:.1f} % of the {} peak\n",
      m.flops, r.parameters.active, 100 * m.share_of_peak, m.bf16 ? "bf16" : "f32");
  const auto group = [&](const char* name, const GroupSummary& g) {
    text += fmt::format("{:<13}{:.4g} flop in {} ms: {:.1f} % of the peak for their dtypes\n", name,
                        g.flops, milliseconds(g.seconds), 100 * g.share_of_peak);
  };
  group("products", group_of(r, is_matrix_product));
  group("attention", group_of(r, is_attention));
  const auto passes = [&](const char* name, const PassSummary& s, const char* roof) {
    if (!s.exists()) return;
    text +=
        fmt::format("{:<13}{:.1f} GB/s: {:.1f} % ({:.1f} to {:.1f}) of {} measured just before\n",
                    name, s.bandwidth / 1e9, 100 * s.share, 100 * s.least, 100 * s.most, roof);
  };
  passes("adamw", update_of(r), "reading and writing in place");
  passes("mhc_close", closes_of(r), "copying with streaming stores (forward and backward),");
  add_streams(r, text);
  if (r.step.further_rounds > 0)
    text += fmt::format("experts      {} calls were further rounds (see moe.buffer_factor)\n",
                        r.step.further_rounds);
  for (const ScalingPoint& point : r.scaling)
    text +=
        fmt::format("{:<13}{:.4f} s median, {:.2f} times as fast as 1 thread\n",
                    fmt::format("{} thread{}", point.threads, point.threads > 1 ? "s" : ""),
                    median(point.seconds), median(r.scaling[0].seconds) / median(point.seconds));
}

}  // namespace

bool beyond_cache(const BenchResult& r) {
  return r.machine.l3 > 0 && r.array_bytes >= 2 * r.machine.l3;
}

std::string to_table(const BenchResult& r) {
  std::string text = fmt::format(
      "{} steps after {} warm-up steps, {} of {} cores, {}; caches {:.0f} KiB, {:.0f} KiB, {:.0f} "
      "MiB in total\n",
      r.step.seconds.size(), BenchOptions::kWarmUp, r.threads, r.machine.cores, r.machine.cpu,
      double(r.machine.l1) / 1024, double(r.machine.l2) / 1024, double(r.machine.l3) / kMiB);
  add_limits(r, text);
  add_operators(r, text);
  add_totals(r, text);
  return text;
}

}  // namespace birkhoff
