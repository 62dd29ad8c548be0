#include "kernels/bodies.h"
#include "kernels/cpu/row.h"
#include "kernels/mhc.h"
// must come last:
#include "kernels/cpu/avx512_bf16/streams-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

// One token's y_i = base + Σ_j res_ij·x_j + post_i·f; base may be null.
struct Closing {
  int64_t n, width;
  const bf16 *x, *f;
  const float *post, *res;
  const bf16* base;
  bf16* y;
};

// For four residual streams and kP panels from channel c on. Each factor is broadcast once for all
// panels: with a single panel the processor is busy loading factors instead of multiplying.
template <int kP>
BIRKHOFF_INLINE void close_four(const Closing& t, auto how, int64_t c) {
  constexpr int kN = 4;
  const int64_t width = t.width;
  Halves x[kN][kP], f[kP];
#pragma GCC unroll 2
  for (int p = 0; p < kP; ++p) {
    const int64_t at = c + p * kChannels;
#pragma GCC unroll 4
    for (int j = 0; j < kN; ++j) {
      x[j][p] = load(how, t.x + j * width + at);
      prefetch_next(t.x + kN * (width + at) + j * kChannels);
    }
    f[p] = load(how, t.f + at);
    prefetch_next(t.f + width + at);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kN; ++i) {
    Halves sum[kP];
#pragma GCC unroll 2
    for (int p = 0; p < kP; ++p) sum[p] = scaled(set(t.post[i]), f[p]);
#pragma GCC unroll 4
    for (int j = 0; j < kN; ++j) {
      const V factor = set(t.res[i * kN + j]);
#pragma GCC unroll 2
      for (int p = 0; p < kP; ++p) sum[p] = add_scaled(factor, x[j][p], sum[p]);
    }
#pragma GCC unroll 2
    for (int p = 0; p < kP; ++p) {
      const int64_t at = i * width + c + p * kChannels;
      set(how, sum[p], row(t.base, at), t.y + at);
    }
  }
}

BIRKHOFF_INLINE void close_any(const Closing& t, auto how, int64_t c) {
  for (int64_t i = 0; i < t.n; ++i) {
    Halves sum = scaled(set(t.post[i]), load(how, t.f + c));
    for (int64_t j = 0; j < t.n; ++j)
      sum = add_scaled(set(t.res[i * t.n + j]), load(how, t.x + j * t.width + c), sum);
    set(how, sum, row(t.base, i * t.width + c), t.y + i * t.width + c);
  }
}

template <int kN, class How>
void close_token(const Closing& t) {
  if constexpr (kN == 4) {
    each_two_panels<How>(
        t.width, [&](auto how, auto panels, int64_t c)
                     __attribute__((always_inline)) { close_four<panels()>(t, how, c); });
  } else {
    each_panel<How>(
        t.width, [&](auto how, int64_t at)
                     __attribute__((always_inline)) { close_any(t, how, at); });
  }
}

template <int kN, class How>
void close_rows(const Args& a) {
  using O = MhcClose;
  const int64_t n = a.desc<StreamsDesc>().n, width = a.dim(O::f, 1);
  const int64_t tokens = a.dim(O::f, 0);
  a.team().ranges(tokens, grain(tokens, a.team()), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      close_token<kN, How>({.n = n,
                            .width = width,
                            .x = a.in<bf16>(O::link) + t * n * width,
                            .f = a.in<bf16>(O::f) + t * width,
                            .post = a.in<float>(O::post) + t * n,
                            .res = a.in<float>(O::res) + t * n * n,
                            .base = row(a.base<bf16>(O::y), t * n * width),
                            .y = a.out<bf16>(O::y) + t * n * width});
    _mm_sfence();  // Makes streaming stores visible before the task is done.
  });
}

// One token's backward.
struct ClosingBackward {
  int64_t n, width;
  const bf16 *dy, *f;
  const float* post;
  const bf16* df_base;
  bf16* df;      // Null if unwanted.
  float* dpost;  // [n]
};

void close_four_backward(const ClosingBackward& t) {
  const int64_t width = t.width, ahead = kAhead * 4 * width;
  V with_f[kLanes];
  for (V& v : with_f) v = zero();
  each_panel<Whole>(
      width, [&](auto how, int64_t c) __attribute__((always_inline)) {
        const __m512i f = how.load(t.f + c);
        prefetch(t.f + kAhead * width + c);
        Halves df{zero(), zero()};
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          const __m512i dy = how.load(t.dy + i * width + c);
          prefetch(t.dy + ahead + i * width + c);
          with_f[i] = dot(with_f[i], dy, f);
          df = add_scaled(set(t.post[i]), halves(dy), df);
        }
        if (t.df) set(how, df, row(t.df_base, c), t.df + c);
      });
  store(sums_of(with_f), t.dpost, first(4));
}

void close_any_backward(const ClosingBackward& t) {
  for (int64_t i = 0; i < t.n; ++i) t.dpost[i] = product(t.dy + i * t.width, t.f, t.width);
  if (!t.df) return;
  each_panel<Whole>(
      t.width, [&](auto how, int64_t c) __attribute__((always_inline)) {
        Halves sum{zero(), zero()};
        for (int64_t i = 0; i < t.n; ++i)
          sum = add_scaled(set(t.post[i]), load(how, t.dy + i * t.width + c), sum);
        set(how, sum, row(t.df_base, c), t.df + c);
      });
}

}  // namespace

void mhc_close(const Args& a) {
  using O = MhcClose;
  if (!a.wanted(O::y)) return;
  if (a.desc<StreamsDesc>().n != 4) return close_rows<0, Whole>(a);
  streams_by(a.out<bf16>(O::y), a.dim(O::f, 1), a.count(O::link)) ? close_rows<4, Streamed>(a)
                                                                  : close_rows<4, Whole>(a);
}

void mhc_close_backward(const Args& a) {
  using C = MhcCloseBackward;
  const int64_t n = a.desc<StreamsDesc>().n, tokens = a.dim(C::f, 0), width = a.dim(C::f, 1);
  a.team().ranges(tokens, grain(tokens, a.team()), [&](int64_t begin, int64_t end, int worker) {
    float* dpost = a.thread_workspace<float>(worker);  // dpost of one token.
    for (int64_t t = begin; t < end; ++t) {
      const ClosingBackward token{.n = n,
                                  .width = width,
                                  .dy = a.in<bf16>(C::dy) + t * n * width,
                                  .f = a.in<bf16>(C::f) + t * width,
                                  .post = a.in<float>(C::post) + t * n,
                                  .df_base = row(a.base<bf16>(C::df), t * width),
                                  .df = row(a.out<bf16>(C::df), t * width),
                                  .dpost = dpost};
      n == 4 ? close_four_backward(token) : close_any_backward(token);
      if (!a.wanted(C::dpost)) continue;
      float* out = a.out<float>(C::dpost) + t * n;
      const float* base = row(a.base<float>(C::dpost), t * n);
      for (int64_t i = 0; i < n; ++i) out[i] = base ? base[i] + dpost[i] : dpost[i];
    }
  });
}

}  // namespace birkhoff::cpu::avx512_bf16
