#pragma once
// Counter-based random numbers: a value is a function of (seed, stream, index) and nothing else, so
// that every layout, thread count and device draws the same. Integer and IEEE-exact arithmetic only
// (+ − × ÷ sqrt fma), no libm: the same bits on every machine. Thread-safe: no state.
//
// philox: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (SC'11), Philox4x32-10.
// normal: the inverse error function of Giles, Approximating the erfinv function (GPU Gems 4).
#include <array>
#include <cstdint>
#include <string_view>

namespace birkhoff {

using Counter = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;

Counter philox(Counter counter, Key key);

class Random {
 public:
  // `stream` names what is drawn, e.g. a parameter's global name.
  Random(uint64_t seed, std::string_view stream);

  uint64_t bits(uint64_t index) const;                   // 64 random bits
  double uniform(uint64_t index) const;                  // in (0, 1), 53 bits, never 0 or 1
  float normal(uint64_t index) const;                    // mean 0, standard deviation 1, |x| < 6
  uint64_t below(uint64_t index, uint64_t limit) const;  // in [0, limit); bias < limit / 2^64

 private:
  Key key_;
  uint64_t stream_;
};

}  // namespace birkhoff
