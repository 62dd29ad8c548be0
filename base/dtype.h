#pragma once
// Element types of tensors. Thread-safe: no state.
//
// f64 exists only for the reference device (the oracle's arithmetic); nothing trains in it.
// bf16 (base/bf16.h) is storage: arithmetic is done in f32.
// f16 (IEEE binary16) and f8_e4m3 (OCP 8-bit floating point, E4M3) occur only in imported files and
// are converted to f32 at once: no operator takes them.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/bf16.h"
#include "base/error.h"

namespace birkhoff {

enum class DType : uint8_t { none, f32, bf16, i32, i64, f64, f16, f8_e4m3 };

struct f16 {
  uint16_t bits = 0;
};
struct f8_e4m3 {
  uint8_t bits = 0;
};

// Exact: every f16 is an f32.
inline float to_float(f16 x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000u) << 16, exponent = (x.bits >> 10) & 31u;
  const uint32_t fraction = x.bits & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float subnormal = float(fraction) * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

// Exact. E4M3 has no infinity: all bits set except the sign is NaN, and 0x7E is 448, the largest
// value.
inline float to_float(f8_e4m3 x) {
  const uint32_t sign = uint32_t(x.bits & 0x80u) << 24, exponent = (x.bits >> 3) & 15u;
  const uint32_t fraction = x.bits & 7u;
  if (exponent == 15 && fraction == 7) return std::bit_cast<float>(sign | 0x7FC00000u);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 120) << 23 | fraction << 20);
  const float subnormal = float(fraction) * 0x1p-9f;
  return sign ? -subnormal : subnormal;
}

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::none:
      return 0;
    case DType::f8_e4m3:
      return 1;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::i64:
    case DType::f64:
      return 8;
  }
  return 0;
}

constexpr std::string_view name_of(DType t) {
  constexpr std::string_view kNames[] = {"none", "f32", "bf16", "i32",
                                         "i64",  "f64", "f16",  "f8_e4m3"};
  return kNames[size_t(t)];
}

// Whether operators accept the type for real numbers.
constexpr bool is_floating(DType t) {
  return t == DType::f32 || t == DType::bf16 || t == DType::f64;
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};

// The only dtype dispatcher: calls f with a value of the element type. Throws InternalError on
// none, f16 and f8_e4m3.
template <class F>
decltype(auto) dispatch(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bf16{});
    case DType::i32:
      return f(int32_t{});
    case DType::i64:
      return f(int64_t{});
    case DType::f64:
      return f(double{});
    case DType::none:
    case DType::f16:
    case DType::f8_e4m3:
      break;
  }
  throw InternalError(fmt::format("dtype {} cannot be computed with", name_of(t)));
}

}  // namespace birkhoff
