#include "kernels/limits.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/error.h"
#include "kernels/cpu/limits.h"
#include "kernels/cpu/pairs.h"

namespace birkhoff {
namespace {

constexpr int kPasses = 7;            // of which the fastest counts; one before them does not
constexpr int64_t kTasks = 16;        // a thread: one that starts late takes less of them
constexpr int64_t kRounds = 1 << 17;  // of a task without memory: about a millisecond

template <class Pass>
double fastest(Pass pass) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = -1; i < kPasses; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pass();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (i >= 0) best = std::min(best, took.count());
  }
  return best;
}

// `move` of every part of the arrays.
template <class Move>
double bandwidth(ThreadTeam& team, int64_t count, double bytes_each, Move move) {
  const int64_t part = (count / (kTasks * team.size()) / 16 + 1) * 16;  // of whole cache lines
  const double seconds = fastest([&] {
    team.ranges(count, part, [&](int64_t begin, int64_t end, int) { move(begin, end - begin); });
  });
  return bytes_each * double(count) / seconds;
}

double arithmetic(ThreadTeam& team, double flops_a_round, float (*rounds)(int64_t)) {
  const int64_t tasks = kTasks * team.size();
  const double seconds = fastest([&] { team.run(tasks, [&](int64_t, int) { rounds(kRounds); }); });
  return flops_a_round * double(kRounds) * double(tasks) / seconds;
}

}  // namespace

double Limits::bandwidth() const { return std::max({copy, copy_streaming, read, sweep}); }

Limits measure_limits(ThreadTeam& team, std::span<float> a, std::span<float> b) {
  check(a.size() == b.size() && !a.empty(), "limits of arrays of {} and {}", a.size(), b.size());
  const auto count = int64_t(a.size());
  // Written once, so that the system has given them their pages.
  bandwidth(team, count, 0, [&](int64_t begin, int64_t n) {
    std::fill_n(a.data() + begin, n, 1.0f), std::fill_n(b.data() + begin, n, 1.0f);
  });
  Limits l;
  l.copy = bandwidth(team, count, 8, [&](int64_t begin, int64_t n) {
    cpu::copy_plain(a.data() + begin, b.data() + begin, n);
  });
  l.copy_streaming = bandwidth(team, count, 8, [&](int64_t begin, int64_t n) {
    cpu::copy_streaming(a.data() + begin, b.data() + begin, n);
  });
  l.read = bandwidth(team, count, 4,
                     [&](int64_t begin, int64_t n) { cpu::read_only(a.data() + begin, n); });
  l.sweep =
      bandwidth(team, count, 8, [&](int64_t begin, int64_t n) { cpu::sweep(a.data() + begin, n); });
  l.f32 = arithmetic(team, double(cpu::multiply_adds_flops()), cpu::multiply_adds);
  if (const cpu::PairBodies* pairs = cpu::pair_bodies())
    l.bf16 = arithmetic(team, double(pairs->products_flops), pairs->products);
  return l;
}

Limits better_of(const Limits& a, const Limits& b) {
  return {.copy = std::max(a.copy, b.copy),
          .copy_streaming = std::max(a.copy_streaming, b.copy_streaming),
          .read = std::max(a.read, b.read),
          .sweep = std::max(a.sweep, b.sweep),
          .f32 = std::max(a.f32, b.f32),
          .bf16 = std::max(a.bf16, b.bf16)};
}

}  // namespace birkhoff
