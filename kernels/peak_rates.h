#pragma once
// What this machine can do at most, measured: the roofs that `birkhoff bench` holds operators
// against. Bytes are those a loop reads and writes by its own account, as Operator::bytes counts
// them: that a plain store makes the processor read the line first is not in it.
//
//   copy             b[i] = a[i]                    8 bytes an f32
//   copy_streaming   the same by stores that pass the caches
//   read             Σ a[i]                         4
//   sweep            a[i] = x·a[i] + y in place     8: what an optimizer does
//   f32              fused multiply-adds in registers, 2 flop a lane
//   bf16             sums of products of pairs (vdpbf16ps), 4 flop a lane; 0 where the processor
//                    has no such instruction, and products of bf16 factors run at the rate of f32
#include <cstdint>
#include <span>

#include "base/thread_team.h"

namespace birkhoff {

struct PeakRates {
  double copy = 0, copy_streaming = 0, read = 0, sweep = 0;  // bytes a second
  double f32 = 0, bf16 = 0;                                  // flop a second

  // No loop over memory is faster, whatever it reads and writes.
  double bandwidth() const;
  // Of a product's factors.
  double peak(bool of_bf16) const { return of_bf16 && bf16 > 0 ? bf16 : f32; }
};

// Of all threads of the team at once: the fastest of several passes each. The arrays are what is
// moved: give them several times the size of the last cache. REQUIRES equal sizes, addresses
// divisible by 64, finite values in `a`; overwrites both. One caller at a time.
PeakRates measure_peak_rates(ThreadTeam& team, std::span<float> a, std::span<float> b);

PeakRates better_of(const PeakRates& a, const PeakRates& b);  // of each the larger

// The two bandwidths that whole passes over memory are held against, bytes a second: of three
// passes each, some milliseconds, so that it can be asked beside what is measured. Of a machine
// that is shared they are those of the moment.
struct Bandwidths {
  double copy_streaming = 0, sweep = 0;
};
Bandwidths measure_bandwidths(ThreadTeam& team, std::span<float> a,
                              std::span<float> b);  // as above

}  // namespace birkhoff
