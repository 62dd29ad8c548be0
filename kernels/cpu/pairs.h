#pragma once
// Bodies for processors that multiply pairs of bf16 and add them to an f32 in one instruction
// (vdpbf16ps of AVX512-BF16), at twice the rate of f32. They exist for operators that are matrix
// products of bf16 (and a few others, below), in addition to the bodies for every instruction set
// (kernels/cpu/targets.h), which do the same work on any other processor or architecture.
//
// The instruction treats subnormal inputs and results (below 1.2e-38) as 0 and rounds each of its
// two additions to nearest: a sum of K terms is off by at most K·2^-24 of Σ|a·b|, like a chain of
// f32 multiply-adds. Products of two bf16 are exact. Thread-safe.
#include <cstddef>
#include <cstdint>

#include "kernels/operator.h"

namespace birkhoff::cpu {

struct Product;
struct MatmulTile;

struct PairBodies {
  // matmul_tile() of kernels/cpu/matmul.h for products of bf16 factors.
  void (*matmul_tile)(const Product& p, const MatmulTile& tile, std::byte* workspace);
  Body attention, attention_backward;
  Body mhc_open, mhc_open_backward, mhc_close, mhc_close_backward;

  // The following are not products but work between them; here one instruction rounds to bf16.
  Body swiglu, swiglu_backward;
  // Adds logits[0 … count) to a row's running maximum and Σ exp(l − maximum). A NaN makes the sum
  // NaN.
  void (*add_logits)(const float* logits, int64_t count, float& maximum, float& sum);
  // dl[i] = scale·exp(logits[i] − lse).
  void (*scaled_softmax)(const float* logits, int64_t count, float lse, float scale, bf16* dl);

  // Measures the rate of the instruction itself, like multiply_adds (kernels/cpu/limits.h): runs
  // `rounds` of it on each of several sums in registers. products_flops is the flops of one round
  // over all sums.
  float (*products)(int64_t rounds);
  int64_t products_flops;
};

// Null if the processor has no such instruction.
const PairBodies* pair_bodies();
// pair_bodies() if the operand is bf16, else null.
inline const PairBodies* pair_bodies_of(const Operand& x) {
  return x.spec->dtype == DType::bf16 ? pair_bodies() : nullptr;
}

// For tests, between calls of operators: false hides the bodies, true (the default) allows them
// again if the processor has them.
void allow_pairs(bool allowed);

}  // namespace birkhoff::cpu
