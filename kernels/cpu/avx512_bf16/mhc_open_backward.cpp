#include "kernels/mhc.h"

#include "kernels/bodies.h"
#include "kernels/cpu/mhc_shared.h"
// must come last:
#include "kernels/cpu/avx512_bf16/streams-inl.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

using B = MhcOpenBackward;
static_assert(kPanel == kChannels);

// Packs phi [n·C, K] into panels [K'/2, kPanel] of one residual stream's channels: pairs of
// columns, even channels first, padded with zeros.
void pack(const Projection& p, const float* phi, uint32_t* packed, ThreadTeam& team) {
  team.run(p.n * p.panels(), [&](int64_t panel, int) {
    const int64_t stream = panel / p.panels(), begin = panel % p.panels() * kPanel;
    const int64_t channels = std::min(kPanel, p.width - begin);
    const float* from = phi + (stream * p.width + begin) * p.columns;
    uint32_t* to = packed + panel * p.panel_size() / 2;
    std::fill_n(to, p.panel_size() / 2, 0);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t k = 0; k < p.columns; k += kLanes) {
        uint32_t pairs[kLanes / 2];
        const V some = load(from + c * p.columns + k, first(p.columns - k));
        store(some, reinterpret_cast<bf16*>(pairs));
        for (int64_t i = 0; i < std::min(kLanes, p.padded() - k) / 2; ++i)
          to[(k / 2 + i) * kPanel + c % 2 * kLanes + c / 2] = pairs[i];
      }
  });
}

// The arguments of one slab's task.
struct Slab {
  const Projection& p;
  const bf16 *x, *dh, *dlink;  // dh and dlink are null if absent.
  const uint32_t* phi;         // Packed.
  bf16* dx;                    // Null if unwanted.
  const bf16* dx_base;
  bool dphi, streamed;  // Whether dphi is wanted; whether dx is stored past the caches.
  const BackwardScratch& s;
  const PairScratch& pairs;
  const SlabSums& sums;
};

// For one token with four residual streams, stores <dh, x_i> in values[i] and <dlink_i, x_j> in
// values[2n + i·n + j], kTokens apart. Each row is read once; dh and dlink may be null.
BIRKHOFF_INLINE void products_four(const bf16* dh, const bf16* dlink, const bf16* x, int64_t width,
                                   float* values) {
  V with_link[16], with_h[16];
  for (V& v : with_link) v = zero();
  for (V& v : with_h) v = zero();
  each_panel<Whole>(
      width, [&](auto how, int64_t c) __attribute__((always_inline)) {
        __m512i of_x[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) of_x[j] = how.load(x + j * width + c);
        if (dh) {
          const __m512i of_h = how.load(dh + c);
#pragma GCC unroll 4
          for (int j = 0; j < 4; ++j) with_h[j] = dot(with_h[j], of_h, of_x[j]);
        }
        if (!dlink) return;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          const __m512i of_link = how.load(dlink + i * width + c);
#pragma GCC unroll 4
          for (int j = 0; j < 4; ++j)
            with_link[4 * i + j] = dot(with_link[4 * i + j], of_link, of_x[j]);
        }
      });
  float sums[2 * kLanes];
  store(sums_of(with_h), sums), store(sums_of(with_link), sums + kLanes);
  for (int i = 0; i < 4; ++i) values[i * kTokens] = sums[i];
  for (int e = 0; e < 16; ++e) values[(8 + e) * kTokens] = sums[kLanes + e];
}

// Computes <dh, x_i> and <dlink_i, x_j> of m tokens in the columns of pre and res; zero for the
// lanes from m on, and where a factor is absent.
void load_products(const Slab& a, int64_t token, int64_t m, float* values) {
  const int64_t n = a.p.n, width = a.p.width;
  std::fill_n(values, (2 * n + n * n) * kTokens, 0.0f);
  for (int64_t t = 0; t < m; ++t) {
    const bf16 *dh = row(a.dh, (token + t) * width), *dlink = row(a.dlink, (token + t) * n * width);
    const bf16* x = a.x + (token + t) * n * width;
    if (n == 4) {
      products_four(dh, dlink, x, width, values + t);
      continue;
    }
    for (int64_t i = 0; dh && i < n; ++i)
      values[i * kTokens + t] = product(dh, x + i * width, width);
    for (int64_t e = 0; dlink && e < n * n; ++e)
      values[(2 * n + e) * kTokens + t] = product(dlink + e / n * width, x + e % n * width, width);
  }
}

// Line i of token t in a strip: residual stream i of dlink, or dh if i = n.
template <int kP>
BIRKHOFF_INLINE float* strip_line(const Slab& a, int64_t t, int64_t i) {
  return a.pairs.strip + (t * (a.p.n + 1) + i) * kP * kPanel;
}

// Fills a strip of kT tokens, in kP panels from channel c on.
template <int kT, int kP>
BIRKHOFF_INLINE void fill_strip(const Slab& a, auto how, int64_t token, int64_t c) {
  const int64_t n = a.p.n, width = a.p.width;
  const auto keep = [&](const bf16* from, float* to) {
    for (int64_t q = 0; q < kP; ++q) {
      const Halves v = load(how, from + q * kPanel);
      store(v.even, to + q * kPanel), store(v.odd, to + q * kPanel + kLanes);
    }
  };
  for (int64_t t = 0; t < kT; ++t) {
    if (a.dlink)
      for (int64_t i = 0; i < n; ++i)
        keep(a.dlink + ((token + t) * n + i) * width + c, strip_line<kP>(a, t, i));
    if (a.dh) keep(a.dh + (token + t) * width + c, strip_line<kP>(a, t, n));
  }
}

// Computes dx of kT tokens, whose rows in the scratch start at `at`, in kP panels from channel c
// on. With two panels a factor is loaded once for four products; with one there would be as many
// loads as products.
template <int kN, int kT, int kP>
BIRKHOFF_INLINE void dx_panels(const Slab& a, auto how, int64_t token, int64_t at, int64_t c) {
  const Projection& p = a.p;
  const int64_t n = kN ? kN : p.n, width = p.width;
  fill_strip<kT, kP>(a, how, token, c);
  for (int64_t j = 0; j < n; ++j) {
    Halves sum[kT][kP];
#pragma GCC unroll 4
    for (int64_t t = 0; t < kT; ++t) {
      const auto add_kept = [&](float factor, int64_t i) __attribute__((always_inline)) {
        const V f = set(factor);
#pragma GCC unroll 2
        for (int64_t q = 0; q < kP; ++q) {
          const float* kept = strip_line<kP>(a, t, i) + q * kPanel;
          sum[t][q] = add_scaled(f, Halves{load(kept), load(kept + kLanes)}, sum[t][q]);
        }
      };
      const bf16* x = a.x + ((token + t) * n + j) * width + c;
      const V pull = set(a.s.pull[at + t]);
#pragma GCC unroll 2
      for (int64_t q = 0; q < kP; ++q) sum[t][q] = scaled(pull, load(how, x + q * kPanel));
      if (a.dh) add_kept(a.s.pre[(at + t) * n + j], n);
      if (a.dlink)
#pragma GCC unroll 4
        for (int64_t i = 0; i < n; ++i) add_kept(a.s.res[((at + t) * n + i) * n + j], i);
    }
    const uint32_t* phi = a.phi + (j * p.panels() + c / kPanel) * p.panel_size() / 2;
    const int64_t pairs = kN == 4 ? 12 : p.padded() / 2;
    for (int64_t k = 0; k < pairs; ++k) {
      __m512i even[kP], odd[kP];
#pragma GCC unroll 2
      for (int64_t q = 0; q < kP; ++q) {
        const uint32_t* of = phi + q * p.panel_size() / 2 + k * kPanel;
        even[q] = _mm512_loadu_si512(of), odd[q] = _mm512_loadu_si512(of + kLanes);
      }
#pragma GCC unroll 4
      for (int64_t t = 0; t < kT; ++t) {
        const __m512i dz = _mm512_set1_epi32(int(a.pairs.dz[(at + t) * pairs + k]));
#pragma GCC unroll 2
        for (int64_t q = 0; q < kP; ++q) {
          sum[t][q].even = dot(sum[t][q].even, dz, even[q]);
          sum[t][q].odd = dot(sum[t][q].odd, dz, odd[q]);
        }
      }
    }
#pragma GCC unroll 4
    for (int64_t t = 0; t < kT; ++t)
#pragma GCC unroll 2
      for (int64_t q = 0; q < kP; ++q) {
        const int64_t e = ((token + t) * n + j) * width + c + q * kPanel;
        set(how, sum[t][q], row(a.dx_base, e), a.dx + e);
      }
  }
}

// Processes all tokens for some channels before the next channels, so that phi's panels stay in L1.
template <int kN, int kP>
BIRKHOFF_INLINE void dx_columns(const Slab& a, auto how, int64_t token, int64_t m, int64_t c) {
  int64_t t = 0;
  for (; t + kStrip <= m; t += kStrip) dx_panels<kN, int(kStrip), kP>(a, how, token + t, t, c);
  for (; t < m; ++t) dx_panels<kN, 1, kP>(a, how, token + t, t, c);
}

template <int kN, class How>
void dx_rows(const Slab& a, int64_t token, int64_t m) {
  each_two_panels<How>(
      a.p.width, [&](auto how, auto panels, int64_t c) __attribute__((always_inline)) {
        dx_columns<kN, panels()>(a, how, token, m, c);
      });
}

// The tokens of a block, and whether it is the slab's first or last block.
struct Block {
  int64_t token, m;
  bool first, last;
};

// For some columns and one panel: rows of dz and x, the sums, and the lines of the next block to
// prefetch (`ask`, null for none).
struct Outer {
  const float* dz;
  const bf16 *x, *ask;
  float* sum;
};

// sum[k] (+)= Σ_t dz[t, k]·x[t] for kC columns, in token order. Sums have even channels before odd
// ones until the last block reorders them. Meanwhile prefetches one line of every token of the next
// block; prefetching all lines at once would delay other loads.
template <int kC>
BIRKHOFF_INLINE void add_outer(const Slab& a, auto how, const Block& b, const Outer& o) {
  const int64_t padded = a.p.padded(), wide = a.p.n * a.p.width;
  Halves s[kC];
#pragma GCC unroll 12
  for (int k = 0; k < kC; ++k) {
    const float* old = o.sum + k * kPanel;
    s[k] = b.first ? Halves{zero(), zero()} : Halves{load(old), load(old + kLanes)};
  }
  for (int64_t t = 0; t < b.m; ++t) {
    const Halves row = load(how, o.x + t * wide);
    if (o.ask) prefetch(o.ask + t * wide);
#pragma GCC unroll 12
    for (int k = 0; k < kC; ++k) s[k] = add_scaled(set(o.dz[t * padded + k]), row, s[k]);
  }
#pragma GCC unroll 12
  for (int k = 0; k < kC; ++k) {
    if (b.last) s[k] = in_order(s[k]);
    store(s[k].even, o.sum + k * kPanel), store(s[k].odd, o.sum + k * kPanel + kLanes);
  }
}

// The slab's dphi (+)= vᵀ·dz over the tokens of a block.
template <int kN>
void add_dphi(const Slab& a, const Block& b) {
  constexpr int kC = kN == 4 ? 12 : int(kColumns);
  const Projection& p = a.p;
  const int64_t wide = p.n * p.width, ahead = kRows * wide;
  for (int64_t j = 0; j < p.n; ++j)
    each_panel<Whole>(
        p.width, [&](auto how, int64_t c) __attribute__((always_inline)) {
          const int64_t at = b.token * wide + j * p.width + c;
          float* sum = a.sums.dphi + (j * p.panels() + c / kPanel) * p.panel_size();
          if (a.dh && j == 0)
            for (int64_t t = 0; t < b.m; ++t) prefetch(a.dh + (b.token + t + kRows) * p.width + c);
          for (int64_t k = 0; k < p.padded(); k += kC)
            add_outer<kC>(a, how, b,
                          {.dz = a.s.dz + k,
                           .x = a.x + at,
                           .ask = k == 0 ? a.x + at + ahead : row(a.dlink, at + ahead),
                           .sum = sum + k * kPanel});
        });
}

template <int kN>
void slab_backward(const Args& args, const Slab& a, int64_t begin, int64_t end) {
  std::fill_n(a.sums.products, a.p.columns * kTokens, 0.0f);
  std::fill_n(a.sums.sums, a.p.columns * kTokens, 0.0f);
  std::fill_n(a.s.dz, kRows * a.p.padded(), 0.0f);
  if (begin == end) std::fill_n(a.sums.dphi, a.p.packed_size(), 0.0f);  // No block sets it.
  for (int64_t token = begin; token < end; token += kRows) {
    const int64_t m = std::min(kRows, end - token);
    for (int64_t at = 0; at < m; at += kTokens) {
      const int64_t some = std::min(kTokens, m - at);
      load_products(a, token + at, some, a.s.d);
      mhc_tokens_backward(args, a.p, {a.s, a.sums, token + at, some, at});
    }
    for (int64_t e = 0; e < m * a.p.padded(); e += kLanes) {
      const __mmask16 some = first(m * a.p.padded() - e);
      store(load(a.s.dz + e, some), reinterpret_cast<bf16*>(a.pairs.dz) + e, some);
    }
    if (a.dx) a.streamed ? dx_rows<kN, Streamed>(a, token, m) : dx_rows<kN, Whole>(a, token, m);
    if (a.dphi) add_dphi<kN>(a, {token, m, token == begin, token + m == end});
  }
  _mm_sfence();  // Makes streaming stores visible before the task is done.
}

template <int kN>
void open_backward(const Args& a, const MhcDesc& desc) {
  const Projection p{a.dim(B::x, 0), desc.n, a.dim(B::x, 1) / desc.n, desc.columns()};
  uint32_t* packed = a.shared_workspace<uint32_t>();
  float* slabs = a.shared_workspace<float>() + p.packed_size() / 2;
  const int64_t trace = sinkhorn_trace(desc.n, desc.iterations, true);
  pack(p, a.in<float>(B::phi), packed, a.team());
  a.team().run(p.slabs(), [&](int64_t slab, int worker) {
    float* thread = a.thread_workspace<float>(worker);
    const BackwardScratch s(Scratch(thread), p, trace);
    const PairScratch pairs(Scratch(thread + s.bytes / sizeof(float)), p);
    const SlabSums sums(Scratch(slabs + slab * int64_t(slab_bytes(p) / sizeof(float))), p);
    const int64_t begin = slab * p.slab_tokens();
    slab_backward<kN>(a,
                      {.p = p,
                       .x = a.in<bf16>(B::x),
                       .dh = a.in<bf16>(B::dh),
                       .dlink = a.in<bf16>(B::dlink),
                       .phi = packed,
                       .dx = a.out<bf16>(B::dx),
                       .dx_base = a.base<bf16>(B::dx),
                       .dphi = a.wanted(B::dphi),
                       .streamed = streams_by(a.out<bf16>(B::dx), p.width, a.count(B::x)),
                       .s = s,
                       .pairs = pairs,
                       .sums = sums},
                      begin, std::min(begin + p.slab_tokens(), p.tokens));
  });
  mhc_store_backward_sums(a, p, slabs);
}

}  // namespace

void mhc_open_backward(const Args& a) {
  const MhcDesc& desc = a.desc<MhcDesc>();
  desc.n == 4 ? open_backward<4>(a, desc) : open_backward<0>(a, desc);
}

}  // namespace birkhoff::cpu::avx512_bf16
