// Rows of bf16 as panels of 32 channels, with even and odd channels in separate vectors: unpacking
// 32 bf16 to 2 × 16 floats then takes one instruction for each vector, and packing takes two.
// Include it after everything else, see simd-inl.h.
#pragma once
#include <algorithm>
#include <type_traits>

#include "base/thread_team.h"
#include "kernels/cpu/projection.h"
// must come last:
#include "kernels/cpu/avx512_bf16/simd-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

constexpr int64_t kChannels = 2 * kLanes;

struct Halves {
  V even, odd;
};
BIRKHOFF_INLINE Halves halves(__m512i pairs) { return {even_of(pairs), odd_of(pairs)}; }
BIRKHOFF_INLINE Halves scaled(V factor, Halves x) {
  return {_mm512_mul_ps(factor, x.even), _mm512_mul_ps(factor, x.odd)};
}
BIRKHOFF_INLINE Halves add_scaled(V factor, Halves x, Halves sum) {
  return {_mm512_fmadd_ps(factor, x.even, sum.even), _mm512_fmadd_ps(factor, x.odd, sum.odd)};
}
BIRKHOFF_INLINE Halves add(Halves a, Halves b) {
  return {_mm512_add_ps(a.even, b.even), _mm512_add_ps(a.odd, b.odd)};
}
// Rounds to 32 bf16 in channel order.
BIRKHOFF_INLINE __m512i merged(Halves x) {
  return paired(__m512i(_mm512_cvtne2ps_pbh(x.odd, x.even)));
}
// Reorders by channel: returns the first 16 channels as `even`, the others as `odd`.
BIRKHOFF_INLINE Halves in_order(Halves x) {
  const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i rest =
      _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
  return {_mm512_permutex2var_ps(x.even, first, x.odd),
          _mm512_permutex2var_ps(x.even, rest, x.odd)};
}

// How a panel is read and written: Whole accesses all of it, Part only its first channels (the
// others are read as zeros).
struct Whole {
  __m512i load(const bf16* from) const { return _mm512_loadu_si512(from); }
  void store(__m512i value, bf16* to) const { _mm512_storeu_si512(to, value); }
};
// Stores whole cache lines past the caches, so that they need not be read first.
struct Streamed : Whole {
  void store(__m512i value, bf16* to) const {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), value);
  }
};
struct Part {
  __mmask32 channels;
  explicit Part(int64_t count) : channels((1u << count) - 1) {}
  __m512i load(const bf16* from) const { return _mm512_maskz_loadu_epi16(channels, from); }
  void store(__m512i value, bf16* to) const { _mm512_mask_storeu_epi16(to, channels, value); }
};

// Calls body(how, c) for each panel, where c is its first channel. A channel's bits do not depend
// on whether its panel is whole.
template <class How, class F>
BIRKHOFF_INLINE void each_panel(int64_t width, F&& body) {
  int64_t c = 0;
  for (; c + kChannels <= width; c += kChannels) body(How(), c);
  if (c < width) body(Part(width - c), c);
}

// Calls body(how, kP, c) for two panels at a time, then for each panel that is left.
template <class How, class F>
BIRKHOFF_INLINE void each_two_panels(int64_t width, F&& body) {
  constexpr std::integral_constant<int, 1> kOne;
  constexpr std::integral_constant<int, 2> kTwo;
  int64_t c = 0;
  for (; c + 2 * kChannels <= width; c += 2 * kChannels) body(How(), kTwo, c);
  if (c + kChannels <= width) body(How(), kOne, c), c += kChannels;
  if (c < width) body(Part(width - c), kOne, c);
}

BIRKHOFF_INLINE Halves load(auto how, const bf16* from) { return halves(how.load(from)); }
// to[…] = base + value; base may be null or to.
BIRKHOFF_INLINE void set(auto how, Halves value, const bf16* base, bf16* to) {
  how.store(merged(base ? add(load(how, base), value) : value), to);
}

// Whether rows that are written once should be stored past the caches: if they are whole cache
// lines, and too large to remain cached until they are read.
inline bool streams_by(const void* rows, int64_t width, int64_t count) {
  return reinterpret_cast<uintptr_t>(rows) % 64 == 0 && width % kChannels == 0 &&
         count * int64_t(sizeof(bf16)) >= (int64_t(4) << 20);
}

// Prefetches what a loop over tokens reads kAhead tokens later, into L2, because eight rows of
// 4 KiB do not fit in L1.
constexpr int64_t kAhead = 8;
BIRKHOFF_INLINE void prefetch(const bf16* from) { _mm_prefetch(from, _MM_HINT_T1); }
// Prefetches the next token's rows in memory order: its n residual streams, which are read in turn,
// are prefetched as one range.
BIRKHOFF_INLINE void prefetch_next(const bf16* from) { _mm_prefetch(from, _MM_HINT_T0); }

// Tokens per task. Large, so that few prefetched rows belong to another task.
inline int64_t grain(int64_t tokens, const ThreadTeam& team) {
  return std::clamp(tokens / (4 * team.size()) / kTokens, int64_t(1), int64_t(16)) * kTokens;
}

// <a, b>. Products of pairs are exact and need no floats, so the rows are never unpacked.
BIRKHOFF_INLINE float product(const bf16* a, const bf16* b, int64_t width) {
  V sum = zero();
  each_panel<Whole>(
      width, [&](auto how, int64_t c) __attribute__((always_inline)) {
        sum = dot(sum, how.load(a + c), how.load(b + c));
      });
  return _mm512_reduce_add_ps(sum);
}

// Lane i of the result is the sum of a[i]'s lanes.
BIRKHOFF_INLINE V sums_of(const V (&a)[kLanes]) {
  V b[8], c[4];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    b[i] = _mm512_add_ps(_mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]),
                         _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d low = _mm512_castps_pd(b[2 * i]), high = _mm512_castps_pd(b[2 * i + 1]);
    c[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
  }
  // Now each quarter of c[i] holds its share of the sums 4i … 4i + 3.
  const V d0 =
      _mm512_add_ps(_mm512_shuffle_f32x4(c[0], c[1], 0x88), _mm512_shuffle_f32x4(c[0], c[1], 0xDD));
  const V d1 =
      _mm512_add_ps(_mm512_shuffle_f32x4(c[2], c[3], 0x88), _mm512_shuffle_f32x4(c[2], c[3], 0xDD));
  return _mm512_add_ps(_mm512_shuffle_f32x4(d0, d1, 0x88), _mm512_shuffle_f32x4(d0, d1, 0xDD));
}

}  // namespace
}  // namespace birkhoff::cpu::avx512_bf16
