#pragma once
// Bodies for processors that multiply pairs of bf16 and add them to an f32 in one instruction
// (vdpbf16ps of AVX512-BF16), at twice the rate of f32. They stand beside the bodies for every
// instruction set (kernels/cpu/targets.h), for what is a matrix product of bf16; on any other
// processor, or built for another architecture, those do the same work.
//
// The instruction reads and writes subnormals as 0 (below 1.2e-38) and rounds each of its two
// additions to nearest: a sum of K terms is off by at most K·2^-24 of Σ|a·b|, like a chain of f32
// multiply-adds. Products of two bf16 are exact. Thread-safe.
#include <cstddef>
#include <cstdint>

#include "kernels/operator.h"

namespace birkhoff::cpu {

struct Product;
struct MatmulTile;

struct PairBodies {
  // As matmul_tile(), for products of bf16 factors (kernels/cpu/matmul.h).
  void (*matmul_tile)(const Product& p, const MatmulTile& tile, std::byte* workspace);
  Body attention, attention_backward;
  Body mhc_open, mhc_open_backward, mhc_close, mhc_close_backward;

  // No products, but exponentials beside them: bf16 is rounded by one instruction here.
  Body swiglu, swiglu_backward;
  // Joins logits[0 … count) to a row's running maximum and Σ exp(l − maximum); a NaN makes it NaN.
  void (*add_logits)(const float* logits, int64_t count, float& maximum, float& sum);
  // dl[i] = scale·exp(logits[i] − lse).
  void (*scaled_softmax)(const float* logits, int64_t count, float lse, float scale, bf16* dl);

  // Sums of products that stay in registers, `rounds` of each, and the flops of one round of all:
  // the rate itself, as multiply_adds (kernels/cpu/limits.h).
  float (*products)(int64_t rounds);
  int64_t products_flops;
};

// Null where there are none. Asked once a call: a body does not change its mind.
const PairBodies* pair_bodies();
// For an operand that is bf16; null for any other.
inline const PairBodies* pair_bodies_of(const Operand& x) {
  return x.spec->dtype == DType::bf16 ? pair_bodies() : nullptr;
}

// For tests: false hides them, true (the default) shows them again where the processor has them.
void allow_pairs(bool allowed);

}  // namespace birkhoff::cpu
