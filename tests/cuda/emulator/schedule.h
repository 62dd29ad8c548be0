#pragma once
// In which of the many legal ways a program runs.
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff::emulator {

enum class Order { fifo, lifo, random };        // of threads, blocks and heads of streams
enum class Completion { early, late, random };  // of asynchronous copies

struct Schedule {
  Order order = Order::fifo;
  Completion completion = Completion::early;
  // What is in a stream runs as soon as it may; or as late as the host's waits allow.
  bool lazy = false;
  uint64_t seed = 1;
};

std::string to_string(const Schedule& schedule);

// Every order with every completion, lazy in turn.
std::vector<Schedule> schedules();

// The machine's own choices: a function of the seed.
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
