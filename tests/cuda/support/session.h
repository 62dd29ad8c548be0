#pragma once
// What the tests of kernels ask of whatever they are linked with: the emulated device
// (emulated.cpp), with or without the checker, or a GPU (hardware/session.cpp).
#include <cstdint>
#include <functional>

namespace birkhoff::testing {

// Calls `test` on a fresh device in every schedule; on a GPU, once, and not where there is none.
// Fails if a call left a fault behind.
void in_every_schedule(const std::function<void()>& test);
// In a random one, for what is large.
void in_one_schedule(const std::function<void()>& test);

// Of the device: 80, 90, 100. The emulated one knows all words.
int capability();

// Bytes of global memory that kernels moved since the last reset, and what that cost.
struct Traffic {
  uint64_t read = 0, written = 0;  // unique bytes, by kernel
  uint64_t read_requested = 0, written_requested = 0;
  uint64_t sectors = 0, fewest_sectors = 0;        // of 32 bytes, by warp and instruction
  uint64_t wavefronts = 0, fewest_wavefronts = 0;  // of shared memory: more are bank conflicts
  uint64_t peer_read = 0, peer_written = 0;        // bytes of other blocks' shared memory
};

// Whether the checker is linked: then traffic() counts, and races are found.
bool has_checker();
// For tests of bits, where other tests of the kernel look for races: in one schedule with the
// checker, which is slow, else in every.
inline void in_schedules_of_bits(const std::function<void()>& test) {
  has_checker() ? in_one_schedule(test) : in_every_schedule(test);
}
Traffic traffic();
void reset_traffic();

}  // namespace birkhoff::testing
