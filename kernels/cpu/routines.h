#pragma once
// Loops below the operators that some processors have a faster form of, in one table per kind of
// machine. Operators that are such a loop as a whole are implementations of their own instead
// (kernels/bodies.h).
//
// AVX512-BF16's vdpbf16ps multiplies pairs of bf16 and adds them to an f32, at twice the rate of
// f32. It reads and writes subnormals as 0 (below 1.2e-38) and rounds each of its two additions to
// nearest: a sum of K terms is off by at most K·2^-24 of Σ|a·b|, like a chain of f32 multiply-adds.
// Products of two bf16 are exact. Thread-safe.
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/features.h"

namespace birkhoff::cpu {

struct Product;
struct MatmulTile;

struct Routines {
  // One tile of a product on the calling thread (kernels/cpu/matmul.h).
  void (*matmul_tile)(const Product& p, const MatmulTile& tile, float* workspace);

  // For a row of logits made of a bf16 h. add_logits joins logits[0 … count) to the row's running
  // maximum and Σ exp(l − maximum); a NaN makes the sum NaN.
  void (*add_logits)(const float* logits, int64_t count, float& maximum, float& sum);
  // dl[i] = scale·exp(logits[i] − lse), rounded.
  void (*scaled_softmax)(const float* logits, int64_t count, float lse, float scale, bf16* dl);

  // Sums of products of pairs that stay in registers, `rounds` of each, and the flops of one round:
  // the highest rate there is (kernels/peak_rates.h). Null where bf16 has no instruction of its
  // own.
  float (*bf16_products)(int64_t rounds) = nullptr;
  int64_t bf16_products_flops = 0;
};

const Routines& routines(const Features& features);

// The loops of the two tables.
namespace every_machine {
void matmul_tile(const Product& p, const MatmulTile& tile, float* workspace);
void add_logits(const float* logits, int64_t count, float& maximum, float& sum);
void scaled_softmax(const float* logits, int64_t count, float lse, float scale, bf16* dl);
}  // namespace every_machine

namespace avx512_bf16 {
// REQUIRES that both factors are read as bf16.
void matmul_tile(const Product& p, const MatmulTile& tile, std::byte* workspace);
void add_logits(const float* logits, int64_t count, float& maximum, float& sum);
void scaled_softmax(const float* logits, int64_t count, float lse, float scale, bf16* dl);
// Two units of latency 6 want 12.
inline constexpr int kProductChains = 12;
float products(int64_t rounds);
}  // namespace avx512_bf16

}  // namespace birkhoff::cpu
