#include "kernels/rope.h"

#include "kernels/bodies.h"
#include "kernels/cpu/rope_frequencies.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rope.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {

struct Turns {
  const double* frequencies;
  int64_t pairs;
  float magnitude, signed_magnitude;  // Factors of the cosines and of the sines.
};

// Sets cosines to (c0, c0, c1, c1, …) and sines to (−s0, s0, −s1, s1, …) of the angles
// position·frequency, so that a pair is rotated by two products: y = x·c + swapped(x)·s. The
// reduced angle is rounded to f32 once, by at most 2⁻²³.
void turns(const Turns& of, double position, float* cosines, float* sines) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  constexpr double kTurn = 6.283185307179586;
  float c[hn::MaxLanes(df)], s[hn::MaxLanes(df)];
  for (int64_t i = 0; i < of.pairs; i += int64_t(hn::Lanes(dd))) {
    const auto angle = hn::Mul(hn::LoadU(dd, of.frequencies + i), hn::Set(dd, position));
    const auto whole = hn::Round(hn::Mul(angle, hn::Set(dd, 1 / kTurn)));
    const auto reduced = hn::DemoteTo(df, hn::NegMulAdd(whole, hn::Set(dd, kTurn), angle));
    hn::StoreU(hn::Mul(hn::Cos(df, reduced), hn::Set(df, of.magnitude)), df, c);
    hn::StoreU(hn::Mul(hn::Sin(df, reduced), hn::Set(df, of.signed_magnitude)), df, s);
    for (int64_t j = 0; j < int64_t(hn::Lanes(df)); ++j) {
      cosines[2 * (i + j)] = cosines[2 * (i + j) + 1] = c[j];
      sines[2 * (i + j)] = -s[j], sines[2 * (i + j) + 1] = s[j];
    }
  }
}

// Rotates the `dims` features of one head that x points to.
template <class T>
void turn(const T* x, int64_t dims, const float* cosines, const float* sines, const T* base, T* y) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR  // a single lane cannot hold a pair
  const Tag d;
  for (; i + int64_t(hn::Lanes(d)) <= dims; i += int64_t(hn::Lanes(d))) {
    const auto v = load(d, x + i);
    const auto across = hn::Mul(hn::Reverse2(d, v), hn::LoadU(d, sines + i));
    set(d, hn::MulAdd(v, hn::LoadU(d, cosines + i), across), base, y, i);
  }
#endif
  for (; i < dims; ++i) {
    const float v = to_float(x[i]) * cosines[i] + to_float(x[i ^ 1]) * sines[i];
    y[i] = narrow<T>(base ? to_float(base[i]) + v : v);
  }
}

template <class T>
void turn_tokens(const Args& a) {
  const auto& desc = a.desc<Rope::Desc>();
  const int64_t tokens = a.dim(Rope::x, 0), row = a.dim(Rope::x, 1), width = row / desc.heads;
  const int64_t dims = desc.dims, kept = width - dims;
  const T *x = a.in<T>(Rope::x), *base = a.base<T>(Rope::y);
  const int32_t* position = a.in<int32_t>(Rope::position);
  T* y = a.out<T>(Rope::y);
  if (!y) return;
  const auto padded = int64_t(rope_frequencies(dims));
  double* frequencies = a.shared_workspace<double>();
  for (int64_t i = 0; i < padded; ++i) frequencies[i] = 2 * i < dims ? rope_frequency(desc, i) : 0;
  const auto magnitude = float(desc.magnitude);
  const Turns of{frequencies, padded, magnitude, desc.inverse ? -magnitude : magnitude};
  a.team().ranges(tokens, kRopeTokens, [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
    float *cosines = a.thread_workspace<float>(worker), *sines = cosines + 2 * padded;
    for (int64_t t = begin; t < end; ++t) {
      turns(of, position[t], cosines, sines);
      for (int64_t at = t * row; at < (t + 1) * row; at += width) {
        const T* from = base ? base + at : nullptr;
        each_vector(kept, [&](auto tag, int64_t i)
                              HWY_ATTR { set(tag, load(tag, x + at + i), from, y + at, i); });
        turn(x + at + kept, dims, cosines, sines, base ? from + kept : nullptr, y + at + kept);
      }
    }
  });
}

}  // namespace

void RopeTokens(const Args& a) {
  with_storage(a.inputs[Rope::x].spec->dtype, [&](auto t) { turn_tokens<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

namespace {

HWY_EXPORT(RopeTokens);

Workspace workspace(Specs, const Desc& desc) {
  const int64_t dims = desc.as<Rope::Desc>().dims;
  return {.shared = rope_frequencies(dims) * sizeof(double),
          .per_thread = 4 * rope_frequencies(dims) * sizeof(float)};
}

}  // namespace

constinit const Implementation rope[] = {
    {.name = "cpu", .workspace = workspace, .run = [](const Args& a) {
       HWY_DYNAMIC_DISPATCH(RopeTokens)(a);
     }}};

}  // namespace birkhoff::cpu
#endif
