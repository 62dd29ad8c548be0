#include "kernels/cpu/peak_loops.h"

#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/peak_loops.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

// Two FMA units with a latency of 4 to 5 cycles need 10 chains. AVX2 has 16 registers, two of which
// hold the factors.
constexpr int kChains = 12;

// Calls move(d, i) for all vectors, unrolled by four.
template <class Move>
HWY_INLINE void each_of_four(int64_t count, Move move) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes)
    move(d, i), move(d, i + lanes), move(d, i + 2 * lanes), move(d, i + 3 * lanes);
  for (; i + lanes <= count; i += lanes) move(d, i);
  for (; i < count; ++i) move(One(), i);
}

}  // namespace

void CopyPlain(const float* from, float* to, int64_t count) {
  each_of_four(count,
               [&](auto d, int64_t i) HWY_ATTR { hn::StoreU(hn::LoadU(d, from + i), d, to + i); });
}

void CopyStreaming(const float* from, float* to, int64_t count) {
  each_of_four(count, [&](auto d, int64_t i) HWY_ATTR {
    if (hn::Lanes(d) == hn::Lanes(Tag()))
      hn::Stream(hn::LoadU(d, from + i), d, to + i);
    else
      hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  });
  hwy::FlushStream();
}

// Prefetches one page ahead. Without that, a single thread reads half as fast, since the hardware
// prefetcher stops at page boundaries.
float ReadOnly(const float* from, int64_t count) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  constexpr int64_t kAhead = 1024, kLine = 16;  // A page and a cache line, in floats.
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    for (int64_t ahead = i; ahead < i + 4 * lanes; ahead += kLine)
      hwy::Prefetch(from + ahead + kAhead);
    s0 = hn::Add(s0, hn::LoadU(d, from + i));
    s1 = hn::Add(s1, hn::LoadU(d, from + i + lanes));
    s2 = hn::Add(s2, hn::LoadU(d, from + i + 2 * lanes));
    s3 = hn::Add(s3, hn::LoadU(d, from + i + 3 * lanes));
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < count; ++i) sum += from[i];
  return sum;
}

void SweepInPlace(float* values, int64_t count) {
  each_of_four(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto half = hn::Set(d, 0.5f);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, values + i), half, half), d, values + i);
  });
}

float MultiplyAdds(int64_t rounds) {
  const Tag d;
  const auto x = hn::Set(d, 0.5f), y = hn::Set(d, 0.25f);
  hn::Vec<Tag> chain[kChains];
  for (int c = 0; c < kChains; ++c) chain[c] = hn::Set(d, float(c));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) chain[c] = hn::MulAdd(chain[c], x, y);
  }
  auto sum = chain[0];
  for (int c = 1; c < kChains; ++c) sum = hn::Add(sum, chain[c]);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

int64_t MultiplyAddsFlops() { return 2 * kChains * int64_t(hn::Lanes(Tag())); }

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(CopyPlain);
HWY_EXPORT(CopyStreaming);
HWY_EXPORT(ReadOnly);
HWY_EXPORT(SweepInPlace);
HWY_EXPORT(MultiplyAdds);
HWY_EXPORT(MultiplyAddsFlops);

void copy_plain(const float* from, float* to, int64_t count) {
  HWY_DYNAMIC_DISPATCH(CopyPlain)(from, to, count);
}
void copy_streaming(const float* from, float* to, int64_t count) {
  HWY_DYNAMIC_DISPATCH(CopyStreaming)(from, to, count);
}
float read_only(const float* from, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(ReadOnly)(from, count);
}
void sweep(float* values, int64_t count) { HWY_DYNAMIC_DISPATCH(SweepInPlace)(values, count); }
float multiply_adds(int64_t rounds) { return HWY_DYNAMIC_DISPATCH(MultiplyAdds)(rounds); }
int64_t multiply_adds_flops() { return HWY_DYNAMIC_DISPATCH(MultiplyAddsFlops)(); }

}  // namespace birkhoff::cpu
#endif
