#pragma once
// The interface of kernel tests to what they are linked with: the emulated device (emulated.cpp),
// with or without the checker, or a GPU (hardware/session.cpp).
#include <cstdint>
#include <functional>

namespace birkhoff::testing {

// Calls `test` on a fresh device in every schedule; with a GPU, once; skips it if there is no GPU.
// Fails if a fault remains afterwards.
void in_every_schedule(const std::function<void()>& test);
// Calls `test` in one random schedule, for large tests.
void in_one_schedule(const std::function<void()>& test);

// The device's compute capability: 80, 90, 100. The emulated device supports sm_90's functions.
int capability();

// The bytes that kernels have moved since the last reset, of global memory unless noted, and their
// cost.
struct Traffic {
  uint64_t read = 0, written = 0;  // unique bytes per kernel
  uint64_t read_requested = 0, written_requested = 0;
  uint64_t sectors = 0, fewest_sectors = 0;        // of 32 bytes, per warp and instruction
  uint64_t wavefronts = 0, fewest_wavefronts = 0;  // of shared memory; any excess: bank conflicts
  uint64_t peer_read = 0, peer_written = 0;        // bytes of other blocks' shared memory
};

// Whether the checker is linked, so that traffic() counts and races are found.
bool has_checker();
// For tests that compare bits of kernels whose races other tests look for: uses one schedule with
// the checker, which is slow, and every schedule without it.
inline void in_schedules_of_bits(const std::function<void()>& test) {
  has_checker() ? in_one_schedule(test) : in_every_schedule(test);
}
Traffic traffic();
void reset_traffic();

}  // namespace birkhoff::testing
