// One-pass backward of the operators that project a token's residual streams by v·phi (mhc_open,
// readout):
//
//   dx_j = Σ_i res_ij·dlink_i + pre_j·dh + dz·phi_jᵀ + x_j·pull       dphi = Σ_t vᵀ·dz
//
// The operator computes (pre, res, dz, pull) for kTokens tokens at a time, which leaves their rows
// in cache. Slabs of tokens run in parallel, each with its own partial dphi. Included once per
// target, see simd-inl.h.
#if defined(BIRKHOFF_PROJECTION_BACKWARD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_PROJECTION_BACKWARD_INL
#undef BIRKHOFF_PROJECTION_BACKWARD_INL
#else
#define BIRKHOFF_PROJECTION_BACKWARD_INL
#endif

#include "hwy/cache_control.h"
#include "kernels/cpu/projection_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// Computes dx of the m ≤ kRows tokens from `token` on and adds to the slab's dphi.
template <int kN, class T>
void backward_rows(const StreamsBackward<T>& r, const BackwardScratch& s, const float* packed,
                   const SlabSums& sums, int64_t token, int64_t m) {
  const Projection& p = r.p;
  for (int64_t panel = 0; panel < p.panels(); ++panel) {
    const int64_t first = panel * kPanel, channels = std::min(kPanel, p.width - first);
    for (int64_t tile = 0; tile < m; tile += kStrip) {
      const int64_t end = std::min(tile + kStrip, m);
      const auto strip = [&](int64_t t) {
        return Strip{token + t, t, first, channels, s.strip + (t - tile) * p.n * kPanel};
      };
      for (int64_t t = tile; t < end; ++t)
        channels == kPanel ? mix_strip<kN, true>(r, s, strip(t))
                           : mix_strip<kN, false>(r, s, strip(t));
      if (!r.dx) continue;
      for (int64_t j = 0; j < p.n; ++j)
        add_projected(p, s.dz + tile * p.padded(),
                      packed + (j * p.panels() + panel) * p.panel_size(), s.strip + j * kPanel);
      for (int64_t t = tile; t < end; ++t) store_strip(r, strip(t));
    }
    if (r.dphi)
      for (int64_t j = 0; j < p.n; ++j)
        add_outer(p, s.dz, s.rows + j * kRows * kPanel, m,
                  sums.dphi + (j * p.panels() + panel) * p.panel_size());
  }
}

// dphi = base + Σ over the slabs in order, unpacked to the layout of phi.
inline void store_dphi(const Projection& p, float* slabs, const float* base, float* dphi,
                       ThreadTeam& team) {
  const int64_t slab = int64_t(slab_bytes(p) / sizeof(float));
  team.run(p.n * p.panels(), [&](int64_t panel, int) HWY_ATTR {
    float* sum = slabs + panel * p.panel_size();  // SlabSums starts with dphi
    for (int64_t i = 1; i < p.slabs(); ++i)
      each_vector(p.panel_size(), [&](auto d, int64_t e) HWY_ATTR {
        set(d, hn::LoadU(d, sum + i * slab + e), sum, sum, e);
      });
    const int64_t stream = panel / p.panels(), first = panel % p.panels() * kPanel;
    const int64_t channels = std::min(kPanel, p.width - first);
    const int64_t at = (stream * p.width + first) * p.columns;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t k = 0; k < p.columns; ++k) {
        const int64_t e = at + c * p.columns + k;
        dphi[e] = base ? base[e] + sum[k * kPanel + c] : sum[k * kPanel + c];
      }
  });
}

// Prefetches the rows of dlink and dx that backward_rows will access for m tokens. It accesses one
// panel of each row at a time, a pattern that no hardware prefetcher predicts.
template <class T>
HWY_INLINE void prefetch(const StreamsBackward<T>& r, int64_t token, int64_t m) {
  const int64_t wide = r.p.n * r.p.width, first = token * wide;
  constexpr int64_t kLine = 64 / sizeof(T);
  for (const T* rows : {r.dlink, static_cast<const T*>(r.dx)})
    if (rows)
      for (int64_t i = 0; i < m * wide; i += kLine) hwy::Prefetch(rows + first + i);
}

// Runs the backward. coefficients(block) must fill the block's rows of pre, res, dz and pull, and
// add to sums.products and sums.sums. Returns the slabs' memory, from which column_sum() reads
// these sums.
template <int kN, class T, class F>
float* backward_slabs(const Args& a, const StreamsBackward<T>& r, int64_t trace, F&& coefficients) {
  const Projection& p = r.p;
  float *packed = a.shared_workspace<float>(), *slabs = packed + p.packed_size();
  const int64_t slab_floats = int64_t(slab_bytes(p) / sizeof(float));
  pack(p, r.phi, packed, a.team());
  a.team().run(p.slabs(), [&](int64_t slab, int worker) HWY_ATTR {
    const BackwardScratch s(Scratch(a.thread_workspace<float>(worker)), p, trace);
    const SlabSums sums(Scratch(slabs + slab * slab_floats), p);
    std::fill_n(slabs + slab * slab_floats, slab_floats, 0.0f);
    std::fill_n(s.dz, kRows * p.padded(), 0.0f);
    const int64_t begin = slab * p.slab_tokens();
    const int64_t end = std::min(begin + p.slab_tokens(), p.tokens);
    for (int64_t token = begin; token < end; token += kRows) {
      const int64_t m = std::min(kRows, end - token);
      prefetch(r, token, m);
      for (int64_t row = 0; row < m; row += kTokens)
        coefficients(TokenBlock{s, sums, token + row, std::min(kTokens, m - row), row});
      backward_rows<kN>(r, s, packed, sums, token, m);
    }
  });
  if (r.dphi) store_dphi(p, slabs, r.dphi_base, r.dphi, a.team());
  return slabs;
}

// Sums column k of the member `of` over the slabs and lanes, in order.
inline double column_sum(const Projection& p, float* slabs, float* SlabSums::*of, int64_t k) {
  double sum = 0;
  for (int64_t slab = 0; slab < p.slabs(); ++slab) {
    const SlabSums s(Scratch(slabs + slab * int64_t(slab_bytes(p) / sizeof(float))), p);
    for (int64_t t = 0; t < kTokens; ++t) sum += double((s.*of)[k * kTokens + t]);
  }
  return sum;
}

inline void store_sum(double sum, const float* base, float* out, int64_t i) {
  if (out) out[i] = float(base ? double(base[i]) + sum : sum);
}

// values[i, t] = <dh_t, x_ti> for m tokens; zero for the lanes from m on, and everywhere if dh is
// null.
template <class T>
HWY_INLINE void load_dots(const T* dh, const T* x, const Projection& p, int64_t m, float* values) {
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t i = 0; i < p.n; ++i)
      values[i * kTokens + t] =
          dh && t < m ? dot(dh + t * p.width, x + (t * p.n + i) * p.width, p.width) : 0;
}

// For one vector of tokens, takes u from s.u and d, the gradient of H~ = scale ⊙ u + b, from s.d.
// Adds to the sums of d·u and d, stores dz = rho·scale·d in s.d, and returns
// pull = −rho²/(n·C)·Σ(scale·d·u), which is 2·ds.
template <class F>  // scale(k)
HWY_INLINE V affine_backward(const Projection& p, F&& scale, const BackwardScratch& s,
                             const SlabSums& sums, int64_t lane) {
  const Tag tag;
  const V rho = hn::LoadU(tag, s.rho + lane);
  V pull = hn::Zero(tag);
  for (int64_t k = 0; k < p.columns; ++k) {
    const int64_t at = k * kTokens + lane;
    const V dk = hn::LoadU(tag, s.d + at), uk = hn::LoadU(tag, s.u + at);
    float *product = sums.products + at, *sum = sums.sums + at;
    hn::StoreU(hn::MulAdd(dk, uk, hn::LoadU(tag, product)), tag, product);
    hn::StoreU(hn::Add(dk, hn::LoadU(tag, sum)), tag, sum);
    const V du = hn::Mul(hn::Set(tag, scale(k)), dk);
    pull = hn::NegMulAdd(du, uk, pull);
    hn::StoreU(hn::Mul(rho, du), tag, s.d + at);
  }
  return hn::Mul(hn::Mul(pull, hn::Mul(rho, rho)), hn::Set(tag, 1 / float(p.n * p.width)));
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
