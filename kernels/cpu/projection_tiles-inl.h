// The register tiles of the backward of v·phi (see projection_backward-inl.h): dx of a few tokens
// in one panel, and dphi of one panel. Included once per target, see simd-inl.h.
#if defined(BIRKHOFF_PROJECTION_TILES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef BIRKHOFF_PROJECTION_TILES_INL
#undef BIRKHOFF_PROJECTION_TILES_INL
#else
#define BIRKHOFF_PROJECTION_TILES_INL
#endif

#include "kernels/cpu/projection-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

template <class T>  // Type of x, dh, dlink and dx.
struct StreamsBackward {
  Projection p;
  const T *x, *dh, *dlink;  // dh and dlink are null if absent.
  const float* phi;
  T* dx;  // dx and dphi are null if unwanted.
  const T* dx_base;
  float* dphi;
  const float* dphi_base;
};

// dx of one token in one panel: `channels` ≤ kPanel channels from `first` on.
struct Strip {
  int64_t token, row;  // row is the token's row in the scratch.
  int64_t first, channels;
  float* dx;  // [n, kPanel]
};

// Computes the terms of dx other than dz·phiᵀ and copies x to s.rows, zero-padded. kFull means
// channels = kPanel.
template <int kN, bool kFull, class T>
HWY_INLINE void mix_strip(const StreamsBackward<T>& r, const BackwardScratch& s,
                          const Strip& strip) {
  const Tag d;
  const int64_t n = kN ? kN : r.p.n, lanes = int64_t(hn::Lanes(d)), width = r.p.width;
  const int64_t t = strip.row, first = strip.token * n * width + strip.first;
  const T* x = r.x + first;
  const T* dh = r.dh ? r.dh + strip.token * width + strip.first : nullptr;
  const T* dlink = r.dlink ? r.dlink + first : nullptr;
  const float* res = s.res + t * n * n;
  for (int64_t v = 0; v < kPanel; v += lanes) {
    const auto some = [&](const T* from) HWY_ATTR {
      return kFull ? load(d, from + v) : load_n(from + v, strip.channels - v);
    };
    V links[kN ? kN : 1];  // dlink, read only once if n is known at compile time.
    for (V& link : links) link = hn::Zero(d);
    if (dlink)
      for (int64_t i = 0; i < kN; ++i) links[i] = some(dlink + i * width);
    const V vdh = dh ? some(dh) : hn::Zero(d);
    for (int64_t j = 0; j < n; ++j) {
      const V xj = some(x + j * width);
      hn::StoreU(xj, d, s.rows + (j * kRows + t) * kPanel + v);
      V sum = hn::MulAdd(hn::Set(d, s.pre[t * n + j]), vdh, hn::Mul(hn::Set(d, s.pull[t]), xj));
      if (dlink)
        for (int64_t i = 0; i < n; ++i)
          sum =
              hn::MulAdd(hn::Set(d, res[i * n + j]), kN ? links[i] : some(dlink + i * width), sum);
      hn::StoreU(sum, d, strip.dx + j * kPanel + v);
    }
  }
}

// strip[t] += dz[t]·phiᵀ for one panel and kStrip tokens.
HWY_INLINE void add_projected(const Projection& p, const float* dz, const float* panel,
                              float* strip) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d)), stride = p.n * kPanel;
  V s[kStrip][2];
  for (int64_t v = 0; v < kPanel; v += 2 * lanes) {
    for (int64_t t = 0; t < kStrip; ++t)
      for (int64_t h = 0; h < 2; ++h) s[t][h] = hn::LoadU(d, strip + t * stride + v + h * lanes);
    for (int64_t k = 0; k < p.columns; ++k) {
      const V low = hn::LoadU(d, panel + k * kPanel + v);
      const V high = hn::LoadU(d, panel + k * kPanel + v + lanes);
      for (int64_t t = 0; t < kStrip; ++t) {
        const V z = hn::Set(d, dz[t * p.padded() + k]);
        s[t][0] = hn::MulAdd(z, low, s[t][0]);
        s[t][1] = hn::MulAdd(z, high, s[t][1]);
      }
    }
    for (int64_t t = 0; t < kStrip; ++t)
      for (int64_t h = 0; h < 2; ++h) hn::StoreU(s[t][h], d, strip + t * stride + v + h * lanes);
  }
}

// sum[k] += Σ_t dz[t, k]·rows[t] for one panel, in token order.
HWY_INLINE void add_outer(const Projection& p, const float* dz, const float* rows, int64_t tokens,
                          float* sum) {
  const Tag d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  V s[kColumns][2];
  for (int64_t k = 0; k < p.padded(); k += kColumns)
    for (int64_t v = 0; v < kPanel; v += 2 * lanes) {
      for (int64_t i = 0; i < kColumns; ++i)
        for (int64_t h = 0; h < 2; ++h)
          s[i][h] = hn::LoadU(d, sum + (k + i) * kPanel + v + h * lanes);
      for (int64_t t = 0; t < tokens; ++t) {
        const V low = hn::LoadU(d, rows + t * kPanel + v);
        const V high = hn::LoadU(d, rows + t * kPanel + v + lanes);
        for (int64_t i = 0; i < kColumns; ++i) {
          const V z = hn::Set(d, dz[t * p.padded() + k + i]);
          s[i][0] = hn::MulAdd(z, low, s[i][0]);
          s[i][1] = hn::MulAdd(z, high, s[i][1]);
        }
      }
      for (int64_t i = 0; i < kColumns; ++i)
        for (int64_t h = 0; h < 2; ++h)
          hn::StoreU(s[i][h], d, sum + (k + i) * kPanel + v + h * lanes);
    }
}

template <class T>
void store_strip(const StreamsBackward<T>& r, const Strip& strip) {
  for (int64_t j = 0; j < r.p.n; ++j) {
    const int64_t at = (strip.token * r.p.n + j) * r.p.width + strip.first;
    each_vector(strip.channels, [&](auto d, int64_t c) HWY_ATTR {
      set(d, hn::LoadU(d, strip.dx + j * kPanel + c), r.dx_base ? r.dx_base + at : nullptr,
          r.dx + at, c);
    });
  }
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
