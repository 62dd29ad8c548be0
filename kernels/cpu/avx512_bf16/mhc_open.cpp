#include "kernels/mhc.h"

#include <cmath>

#include "kernels/bodies.h"
#include "kernels/cpu/mhc_shared.h"
// must come last:
#include "kernels/cpu/avx512_bf16/streams-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

constexpr int kTileRows = 8;

// Packs phi [n·C, K] into register tiles of pairs of channels: phi rounded to bf16 in the first
// columns, the remainder (also as bf16) from column pair_half() on, and zeros in between and after.
void pack(const Projection& p, const float* phi, uint32_t* packed, ThreadTeam& team) {
  const int64_t pairs = p.n * p.width / 2;
  team.ranges(pairs, 256, [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = 0; tile < pair_tiles(p); ++tile)
      std::fill_n(packed + (tile * pairs + begin) * kPairColumns, (end - begin) * kPairColumns, 0);
    for (int64_t i = begin; i < end; ++i)
      for (int64_t k = 0; k < p.columns; k += kPairUnit) {
        const float* from = phi + 2 * i * p.columns + k;
        const __mmask8 some = __mmask8(first(std::min(kPairUnit, p.columns - k)));
        const V both = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_maskz_loadu_ps(some, from)),
                                          _mm256_maskz_loadu_ps(some, from + p.columns), 1);
        const __m256i high = halves_of(both), low = halves_of(_mm512_sub_ps(both, widen(high)));
        const auto put = [&](__m256i halves, int64_t column) {
          const __m256i even = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(halves));
          const __m256i odd = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(halves, 1));
          uint32_t* to = packed + (column / kPairColumns * pairs + i) * kPairColumns;
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + column % kPairColumns),
                              _mm256_or_si256(even, _mm256_slli_epi32(odd, 16)));
        };
        put(high, k), put(low, pair_half(p) + k);
      }
  });
}

// sums[t, c] = x_t·(column c of a tile) for kR tokens. Meanwhile prefetches the rows that are
// `ahead` elements further on.
template <int kR>
void project_rows(const bf16* x, int64_t wide, const uint32_t* tile, int64_t ahead, float* sums) {
  constexpr int64_t kStep = 32;  // Pairs: two cache lines per row.
  V s[kR][3];
  for (auto& line : s)
    for (V& v : line) v = zero();
  const int64_t pairs = wide / 2;
  for (int64_t k = 0; k < pairs; k += kStep) {
    dot_tile(s, x + 2 * k, wide, 2, tile + k * kPairColumns, std::min(kStep, pairs - k));
    for (int64_t r = 0; r < kR; ++r)
      for (int64_t line = 0; line < 2; ++line) prefetch(x + ahead + r * wide + 2 * k + 32 * line);
  }
  for (int64_t r = 0; r < kR; ++r)
    for (int64_t v = 0; v < 3; ++v) store(s[r][v], sums + r * kPairColumns + v * kLanes);
}

// This is a separate pass, since it reads a row in memory order, which the hardware prefetcher
// predicts. Inside the projection, which alternates between eight rows, it would slow mhc_open
// down.
float squared_sum(const bf16* x, int64_t count) {
  V sum[2] = {zero(), zero()};
  each_panel<Whole>(
      count, [&](auto how, int64_t c) __attribute__((always_inline)) {
        const __m512i v = how.load(x + c);
        sum[0] = dot(sum[0], v, v);
        std::swap(sum[0], sum[1]);
      });
  return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

// Computes rho[t] and u[k, t] for m ≤ kTokens tokens from x on; zero for the lanes from m on. A
// token's bits do not depend on its lane, because each row of a tile is summed separately.
void project(const Projection& p, const uint32_t* packed, const bf16* x, int64_t m, float eps,
             const ForwardScratch& s) {
  const int64_t wide = p.n * p.width;
  for (int64_t t = 0; t < kTokens; ++t)
    s.rho[t] = t < m ? 1 / std::sqrt(squared_sum(x + t * wide, wide) / float(wide) + eps) : 0;
  for (int64_t tile = 0; tile < pair_tiles(p); ++tile) {
    const uint32_t* columns = packed + tile * (wide / 2) * kPairColumns;
    float* sums = s.sums + tile * kTokens * kPairColumns;
    int64_t t = 0;
    for (; t + kTileRows <= m; t += kTileRows)
      project_rows<kTileRows>(x + t * wide, wide, columns, kTokens * wide, sums + t * kPairColumns);
    for (; t < m; ++t)
      project_rows<1>(x + t * wide, wide, columns, kTokens * wide, sums + t * kPairColumns);
  }
  const auto column = [&](int64_t k) {
    return s.sums + k / kPairColumns * kTokens * kPairColumns + k % kPairColumns;
  };
  for (int64_t k = 0; k < p.columns; ++k) {
    const float *high = column(k), *low = column(pair_half(p) + k);
    for (int64_t t = 0; t < kTokens; ++t)
      s.u[k * kTokens + t] =
          t < m ? s.rho[t] * (high[t * kPairColumns] + low[t * kPairColumns]) : 0;
  }
}

// out = base + Σ_i pre_i·x_i for one token; the elements of pre are kTokens apart.
template <int kN>
void mix(const Projection& p, const bf16* x, const float* pre, const bf16* base, bf16* out) {
  const int64_t n = kN ? kN : p.n;
  each_panel<Whole>(
      p.width, [&](auto how, int64_t c) __attribute__((always_inline)) {
        Halves sum = scaled(set(pre[0]), load(how, x + c));
#pragma GCC unroll 4
        for (int64_t i = 1; i < n; ++i)
          sum = add_scaled(set(pre[i * kTokens]), load(how, x + i * p.width + c), sum);
        set(how, sum, row(base, c), out + c);
      });
}

template <int kN>
void open_rows(const Args& a, const MhcDesc& desc) {
  using O = MhcOpen;
  const int64_t n = desc.n, wide = a.dim(O::x, 1), width = wide / n;
  const Projection p{a.dim(O::x, 0), n, width, desc.columns()};
  uint32_t* packed = a.shared_workspace<uint32_t>();
  pack(p, a.in<float>(O::phi), packed, a.team());
  a.team().ranges(p.tokens, grain(p.tokens, a.team()), [&](int64_t begin, int64_t end, int worker) {
    const ForwardScratch s(Scratch(a.thread_workspace<float>(worker)), p,
                           sinkhorn_trace(n, desc.iterations, false));
    for (int64_t t = begin; t < end; t += kTokens) {
      const int64_t m = std::min(kTokens, end - t);
      const bf16* x = a.in<bf16>(O::x) + t * wide;
      project(p, packed, x, m, float(desc.eps), s);
      mhc_store_coefficients(a, s, t, m);
      if (!a.wanted(O::h)) continue;
      for (int64_t i = 0; i < m; ++i)
        mix<kN>(p, x + i * wide, s.c + i, row(a.base<bf16>(O::h), (t + i) * width),
                a.out<bf16>(O::h) + (t + i) * width);
    }
  });
}

}  // namespace

void mhc_open(const Args& a) {
  const MhcDesc& desc = a.desc<MhcDesc>();
  desc.n == 4 ? open_rows<4>(a, desc) : open_rows<0>(a, desc);
}

}  // namespace birkhoff::cpu::avx512_bf16
