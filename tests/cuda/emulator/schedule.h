#pragma once
// Chooses one of the many legal ways in which a program can run.
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff::emulator {

enum class Order { fifo, lifo, random };        // of threads, blocks and heads of streams
enum class Completion { early, late, random };  // of asynchronous copies

struct Schedule {
  Order order = Order::fifo;
  Completion completion = Completion::early;
  // Whether operations of streams run as late as the host's waits allow, or as soon as possible.
  bool lazy = false;
  uint64_t seed = 1;
};

std::string to_string(const Schedule& schedule);

// Every order with every completion; every second one is lazy.
std::vector<Schedule> schedules();

// The emulator's random choices, a function of the seed.
class Chance {
 public:
  explicit Chance(uint64_t seed = 1) : state_(seed * 0x9E3779B97F4A7C15u | 1) {}
  uint64_t below(uint64_t limit) {  // xorshift64
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_ % limit;
  }

 private:
  uint64_t state_;
};

}  // namespace birkhoff::emulator
