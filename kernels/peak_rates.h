#pragma once
// Measured upper limits of this machine, with which `birkhoff bench` compares operators. Bytes
// count what a loop itself reads and writes, like Operator::bytes; they leave out that the
// processor reads a cache line before a plain store to it.
//
//   copy             b[i] = a[i]                    8 bytes per f32
//   copy_streaming   the same with stores that bypass the caches
//   read             Σ a[i]                         4 bytes per f32
//   sweep            a[i] = x·a[i] + y in place     8 bytes per f32, like an optimizer
//   f32              fused multiply-adds in registers, 2 flop per lane
//   bf16             sums of products of pairs (vdpbf16ps), 4 flop per lane; 0 if the processor
//                    lacks that instruction and multiplies bf16 factors at the f32 rate
#include <cstdint>
#include <span>

#include "base/thread_team.h"

namespace birkhoff {

struct PeakRates {
  double copy = 0, copy_streaming = 0, read = 0, sweep = 0;  // Bytes per second.
  double f32 = 0, bf16 = 0;                                  // Flop per second.

  // The largest of the four: no loop over memory is faster, whatever it reads and writes.
  double bandwidth() const;
  // Peak rate of matrix products whose factors are bf16, or else f32.
  double peak(bool of_bf16) const { return of_bf16 && bf16 > 0 ? bf16 : f32; }
};

// Measures all threads of the team together; for each limit the fastest of several passes counts.
// The passes run over the two arrays, which should be several times as large as the last-level
// cache. REQUIRES equal sizes, addresses divisible by 64, finite values in `a`; overwrites both.
// One caller at a time.
PeakRates measure_peak_rates(ThreadTeam& team, std::span<float> a, std::span<float> b);

// The larger of the two for each rate.
PeakRates better_of(const PeakRates& a, const PeakRates& b);

// The two bandwidths that whole passes over memory are compared with, in bytes per second. They
// take three passes each, a few milliseconds, so that they can be measured right next to what they
// are compared with. On a shared machine they describe only that moment. REQUIRES the same as
// measure_limits.
struct Bandwidths {
  double copy_streaming = 0, sweep = 0;
};
Bandwidths measure_bandwidths(ThreadTeam& team, std::span<float> a, std::span<float> b);

}  // namespace birkhoff
