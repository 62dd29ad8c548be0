#pragma once
// Classifies operators, so that `birkhoff bench` can add their times up. Thread-safe: no state.
#include "kernels/operator.h"

namespace birkhoff {

// Linear layers of all kinds, and the head with its cross entropy.
bool is_matrix_product(const Operator& op);
// Attention over a sequence, forward and backward.
bool is_attention(const Operator& op);
// What a plain residual does not have: making, opening, closing, reading and measuring residual
// streams.
bool is_of_streams(const Operator& op);

// Whether the call multiplies bf16 by bf16, which a processor with products of pairs does at
// another rate than f32 (kernels/peak_rates.h): both factors are stored in bf16, or a weight is
// read as bf16.
bool multiplies_bf16(const Operator& op, Specs in, const Desc& desc);

}  // namespace birkhoff
