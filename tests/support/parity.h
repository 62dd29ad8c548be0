#pragma once
// Runs a parity case: a computation that others have done too. A case is a file of named tensors
// whose metadata say what to run; tensors have canonical names after a prefix.
//
//   run       reads                                      → writes
//   model     config (YAML); parameter.…, batch.token,   loss [1], logits [B·S, V], gradient.…
//             batch.target i32 [B, S]
//   import    directory of a model in Hugging Face's     the same, of the imported model
//             format; batch.token, batch.target
//   training  as model, with [steps, B, S]               loss, grad_norm, lr [steps]; parameter.…
//             B = train.global_batch                     as they are at the end
//   mhc       n, eps, iterations, sinkhorn; x, f, phi,   h, y, post, res, and dx, df, dphi, dalpha,
//             alpha, b, dh, dy                           db of Σ dh⊙h + Σ dy⊙y
//   adamw     beta1, beta2, eps, weight_decay, lr;       p, m, v [steps, N]: after each step
//             p [N], g [steps, N]
//
// The decoder's lists (attention over a cache) make the logits, the training lists make loss and
// gradients. Targets of −1 are not counted. f32 and bf16 (bf16 for the activations of model only;
// parameters stay f32) run on the cpu's bodies, f64 (only model, import and mhc) on the reference.
// Throws CheckpointError if a case lacks a tensor or a key, or has other parameters than its model.
#include "tests/support/tensor_file.h"

namespace birkhoff::testing {

TensorFile run_parity(const TensorFile& parity_case, DType dtype);

// The supported values of model.residual.
std::vector<std::string> residuals_available();

}  // namespace birkhoff::testing
