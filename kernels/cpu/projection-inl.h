// v·phi over a token's residual streams: packing phi, projecting, normalising, and mixing residual
// streams. kernels/cpu/projection.h defines the layouts. Included once per target, see simd-inl.h.
#if defined(BIRKHOFF_PROJECTION_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_PROJECTION_INL
#undef BIRKHOFF_PROJECTION_INL
#else
#define BIRKHOFF_PROJECTION_INL
#endif

#include <cmath>

#include "kernels/cpu/projection.h"
#include "kernels/cpu/simd-inl.h"
#include "kernels/operator.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

using V = hn::Vec<Tag>;
static_assert(hn::MaxLanes(Tag()) <= size_t(kLanes));

// Loads `count` elements from p, and nothing else; the other lanes are zero.
template <class T>
HWY_INLINE V load_n(const T* p, int64_t count) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  if (count >= lanes) return load(d, p);
  HWY_ALIGN float some[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) some[i] = to_float(p[i]);
  return hn::Load(d, some);
}

// Packs phi [n·C, K] into panels.
inline void pack(const Projection& p, const float* phi, float* packed, ThreadTeam& team) {
  team.run(p.n * p.panels(), [&](int64_t panel, int) HWY_ATTR {
    const int64_t stream = panel / p.panels(), first = panel % p.panels() * kPanel;
    const int64_t channels = std::min(kPanel, p.width - first);
    const float* from = phi + (stream * p.width + first) * p.columns;
    float* to = packed + panel * p.panel_size();
    std::fill_n(to, p.panel_size(), 0.0f);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t k = 0; k < p.columns; ++k) to[k * kPanel + c] = from[c * p.columns + k];
  });
}

// Tokens of a register tile: enough independent sums to hide the latency at two FMAs per cycle, but
// few enough for the registers.
inline constexpr int kTile = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

HWY_INLINE void project_vector(const V (&x)[kTile], const float* packed, V (&s)[kTile][kColumns]) {
  const Tag d;
  for (int64_t k = 0; k < kColumns; ++k) {
    const V phi = hn::LoadU(d, packed + k * kPanel);
    for (int t = 0; t < kTile; ++t) s[t][k] = hn::MulAdd(x[t], phi, s[t][k]);
  }
}

// sums[t][k] += rows[t][0 … channels)·column k of the kColumns columns of the panels from `packed`
// on.
template <class T>
HWY_INLINE void project_tile(const T* const (&rows)[kTile], const float* packed, int64_t panel_size,
                             int64_t channels, float* sums, int64_t stride) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  V s[kTile][kColumns], x[kTile];
  for (int t = 0; t < kTile; ++t)
    for (int64_t k = 0; k < kColumns; ++k) s[t][k] = hn::LoadU(d, sums + t * stride + k * kLanes);
  int64_t c = 0;
  for (; c + kPanel <= channels; c += kPanel, packed += panel_size)
    for (int64_t v = 0; v < kPanel; v += lanes) {
      for (int t = 0; t < kTile; ++t) x[t] = load(d, rows[t] + c + v);
      project_vector(x, packed + v, s);
    }
  for (int64_t v = 0; c + v < channels; v += lanes) {
    for (int t = 0; t < kTile; ++t) x[t] = load_n(rows[t] + c + v, channels - c - v);
    project_vector(x, packed + v, s);
  }
  for (int t = 0; t < kTile; ++t)
    for (int64_t k = 0; k < kColumns; ++k) hn::StoreU(s[t][k], d, sums + t * stride + k * kLanes);
}

// z[k, t] = x_t·phi for m ≤ kTokens tokens from x on; zero for the lanes from m on. A token's bits
// depend neither on m nor on its lane: a tile that reaches past the end repeats the last token.
template <class T>
void project(const Projection& p, const float* packed, const T* x, int64_t m, float* sums,
             float* z) {
  const int64_t row = p.n * p.width, stride = p.padded() * kLanes;
  std::fill_n(sums, kTokens * stride, 0.0f);
  for (int64_t stream = 0; stream < p.n; ++stream)
    for (int64_t c = 0; c < p.width; c += kChunk)
      for (int64_t k = 0; k < p.padded(); k += kColumns)
        for (int64_t t = 0; t < m; t += kTile) {
          const T* rows[kTile];
          for (int i = 0; i < kTile; ++i)
            rows[i] = x + std::min(t + i, m - 1) * row + stream * p.width + c;
          project_tile(rows,
                       packed + (stream * p.panels() + c / kPanel) * p.panel_size() + k * kPanel,
                       p.panel_size(), std::min(kChunk, p.width - c),
                       sums + t * stride + k * kLanes, stride);
        }
  const Tag d;
  for (int64_t k = 0; k < p.columns; ++k)
    for (int64_t t = 0; t < kTokens; ++t)
      z[k * kTokens + t] =
          t < m ? hn::GetLane(hn::SumOfLanes(d, hn::LoadU(d, sums + t * stride + k * kLanes))) : 0;
}

// Computes rho[t] and, in place, u = rho·z.
template <class T>
void normalise(const Projection& p, const T* x, int64_t m, float eps, float* z, float* rho) {
  const Tag d;
  const int64_t row = p.n * p.width;
  std::fill_n(rho, kTokens, 0.0f);
  for (int64_t t = 0; t < m; ++t)
    rho[t] = 1 / std::sqrt(dot(x + t * row, x + t * row, row) / float(row) + eps);
  for (int64_t k = 0; k < p.columns; ++k)
    for (int64_t t = 0; t < kTokens; t += int64_t(hn::Lanes(d)))
      hn::StoreU(hn::Mul(hn::LoadU(d, z + k * kTokens + t), hn::LoadU(d, rho + t)), d,
                 z + k * kTokens + t);
}

// out[t] = base + Σ_i weights[i, t]·x_i for m tokens.
template <int kN, class T>
void mix(const Projection& p, const T* x, const float* weights, int64_t m, const T* base, T* out) {
  const int64_t n = kN ? kN : p.n;
  for (int64_t t = 0; t < m; ++t, x += n * p.width)
    each_vector(p.width, [&](auto d, int64_t c) HWY_ATTR {
      auto sum = hn::Mul(hn::Set(d, weights[t]), load(d, x + c));
      for (int64_t i = 1; i < n; ++i)
        sum = hn::MulAdd(hn::Set(d, weights[i * kTokens + t]), load(d, x + i * p.width + c), sum);
      set(d, sum, base ? base + t * p.width : nullptr, out + t * p.width, c);
    });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
