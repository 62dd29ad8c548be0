#include "kernels/peak_rates.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/error.h"
#include "kernels/cpu/peak_loops.h"
#include "kernels/cpu/routines.h"

namespace birkhoff {
namespace {

// The fastest pass counts, out of at least this many passes that take at least this long in total,
// because other processes may occupy a core for a while. One warm-up pass is not counted.
constexpr int kPasses = 7;
constexpr double kSeconds = 0.1;
constexpr int64_t kTasks = 16;        // Per thread, so that a thread that starts late takes fewer.
constexpr int64_t kRounds = 1 << 15;  // Per arithmetic task: a quarter of a millisecond.

struct Patience {
  int passes = kPasses;
  double seconds = kSeconds;
};

template <class Pass>
double fastest(Pass pass, Patience least) {
  pass();
  double best = std::numeric_limits<double>::infinity(), sum = 0;
  for (int i = 0; i < least.passes || sum < least.seconds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count()), sum += took.count();
  }
  return best;
}

// Calls move(begin, count) for every part of the arrays.
template <class Move>
void pass_over(ThreadTeam& team, int64_t count, Move move) {
  const int64_t part = (count / (kTasks * team.size()) / 16 + 1) * 16;  // Whole cache lines.
  team.ranges(count, part, [&](int64_t begin, int64_t end, int) { move(begin, end - begin); });
}

template <class Move>
double bandwidth(ThreadTeam& team, int64_t count, double bytes_each, Move move,
                 Patience least = {}) {
  return bytes_each * double(count) / fastest([&] { pass_over(team, count, move); }, least);
}

double arithmetic(ThreadTeam& team, double flops_a_round, float (*rounds)(int64_t)) {
  const int64_t tasks = kTasks * team.size();
  const double seconds =
      fastest([&] { team.run(tasks, [&](int64_t, int) { rounds(kRounds); }); }, {});
  return flops_a_round * double(kRounds) * double(tasks) / seconds;
}

Bandwidths passes(ThreadTeam& team, std::span<float> a, std::span<float> b, Patience least) {
  const auto count = int64_t(a.size());
  const auto copy = [&](int64_t begin, int64_t n) {
    cpu::copy_streaming(a.data() + begin, b.data() + begin, n);
  };
  const auto sweep = [&](int64_t begin, int64_t n) { cpu::sweep(a.data() + begin, n); };
  return {.copy_streaming = bandwidth(team, count, 8, copy, least),
          .sweep = bandwidth(team, count, 8, sweep, least)};
}

}  // namespace

Bandwidths measure_bandwidths(ThreadTeam& team, std::span<float> a, std::span<float> b) {
  check(a.size() == b.size() && !a.empty(),
        "bandwidths need two arrays of one size, not {} and {} elements", a.size(), b.size());
  return passes(team, a, b, {.passes = 3, .seconds = 0});
}

double PeakRates::bandwidth() const { return std::max({copy, copy_streaming, read, sweep}); }

PeakRates measure_peak_rates(ThreadTeam& team, std::span<float> a, std::span<float> b) {
  check(a.size() == b.size() && !a.empty(),
        "limits need two arrays of one size, not {} and {} elements", a.size(), b.size());
  const auto count = int64_t(a.size());
  // Writing the arrays once makes the system allocate their pages.
  pass_over(team, count, [&](int64_t begin, int64_t n) {
    std::fill_n(a.data() + begin, n, 1.0f), std::fill_n(b.data() + begin, n, 1.0f);
  });
  PeakRates l;
  l.copy = bandwidth(team, count, 8, [&](int64_t begin, int64_t n) {
    cpu::copy_plain(a.data() + begin, b.data() + begin, n);
  });
  l.read = bandwidth(team, count, 4,
                     [&](int64_t begin, int64_t n) { cpu::read_only(a.data() + begin, n); });
  const Bandwidths moved = passes(team, a, b, {});
  l.copy_streaming = moved.copy_streaming, l.sweep = moved.sweep;
  l.f32 = arithmetic(team, double(cpu::multiply_adds_flops()), cpu::multiply_adds);
  const cpu::Routines& loops = cpu::routines(host_features());
  if (loops.bf16_products)
    l.bf16 = arithmetic(team, double(loops.bf16_products_flops), loops.bf16_products);
  return l;
}

PeakRates better_of(const PeakRates& a, const PeakRates& b) {
  return {.copy = std::max(a.copy, b.copy),
          .copy_streaming = std::max(a.copy_streaming, b.copy_streaming),
          .read = std::max(a.read, b.read),
          .sweep = std::max(a.sweep, b.sweep),
          .f32 = std::max(a.f32, b.f32),
          .bf16 = std::max(a.bf16, b.bf16)};
}

}  // namespace birkhoff
