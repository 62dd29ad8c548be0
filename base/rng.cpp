#include "base/rng.h"

#include <bit>
#include <cmath>

#include "base/hash.h"

namespace birkhoff {
namespace {

// log(x) for x in (0, 1], |error| < 2e-7: x = 2^e·m with m in [sqrt(½), sqrt(2)), then
// log m = 2·atanh(s), s = (m − 1)/(m + 1), as a series in s² (|s| < 0.172).
float exact_log(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const uint32_t offset = u - 0x3F3504F3u;  // bits of sqrt(½)
  const int e = int32_t(offset) >> 23;
  const float m = std::bit_cast<float>((offset & 0x007FFFFFu) + 0x3F3504F3u);
  const float s = (m - 1) / (m + 1), z = s * s;
  float p = std::fma(z, 1.0f / 9, 1.0f / 7);
  p = std::fma(p, z, 1.0f / 5);
  p = std::fma(p, z, 1.0f / 3);
  p = std::fma(p, z, 1.0f);
  return std::fma(float(e), 0.69314718f, 2 * s * p);
}

float horner(float w, const float (&c)[9]) {
  float p = c[0];
  for (int i = 1; i < 9; ++i) p = std::fma(p, w, c[i]);
  return p;
}

}  // namespace

Counter philox(Counter c, Key k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(c[0]) * 0xD2511F53u, b = uint64_t(c[2]) * 0xCD9E8D57u;
    c = {uint32_t(b >> 32) ^ c[1] ^ k[0], uint32_t(b), uint32_t(a >> 32) ^ c[3] ^ k[1],
         uint32_t(a)};
    k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
  }
  return c;
}

Random::Random(uint64_t seed, std::string_view stream)
    : key_{uint32_t(seed), uint32_t(seed >> 32)}, stream_(hash64(stream)) {}

uint64_t Random::bits(uint64_t index) const {
  const Counter c = philox(
      {uint32_t(index), uint32_t(index >> 32), uint32_t(stream_), uint32_t(stream_ >> 32)}, key_);
  return uint64_t(c[1]) << 32 | c[0];
}

double Random::uniform(uint64_t index) const { return (double(bits(index) >> 12) + 0.5) * 0x1p-52; }

float Random::normal(uint64_t index) const {
  // 24 bits, symmetric: ±(k + ½)·2^-23, so 1 − x² is never 0.
  const float x = (float(int32_t(bits(index) >> 40) - (1 << 23)) + 0.5f) * 0x1p-23f;
  const float w = -exact_log((1 - x) * (1 + x));
  constexpr float kCentral[] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                                -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                                -0.00417768164f,  0.246640727f,    1.50140941f};
  constexpr float kTail[] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                             -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                             0.00943887047f,   1.00167406f,     2.83297682f};
  const float p = w < 5 ? horner(w - 2.5f, kCentral) : horner(std::sqrt(w) - 3, kTail);
  return 1.41421356f * (p * x);
}

uint64_t Random::below(uint64_t index, uint64_t limit) const {
  return uint64_t((static_cast<__uint128_t>(bits(index)) * limit) >> 64);
}

}  // namespace birkhoff
