#pragma once
// Parity: what Birkhoff makes of a case that others computed too. A case is a file of named tensors
// whose metadata say what to run; the tensors' names are canonical ones behind a prefix.
//
//   run       reads                                      → writes
//   model     config (YAML); parameter.…, batch.token,   loss [1], logits [B·S, V], gradient.…
//             batch.target i32 [B, S]
//   import    directory, of a model in Hugging Face's     the same, of what was imported
//             form; batch.token, batch.target
//   training  the same with [steps, B, S]                loss, grad_norm, lr [steps]; parameter.…
//             B = train.global_batch                     as they are at the end
//   mhc       n, eps, iterations, sinkhorn; x, f, phi,   h, y, post, res, and dx, df, dphi, dalpha,
//             alpha, b, dh, dy                           db of Σ dh⊙h + Σ dy⊙y
//   adamw     beta1, beta2, eps, weight_decay, lr;       p, m, v [steps, N]: behind each step
//             p [N], g [steps, N]
//
// Logits are made by the decoder's lists (attention over a cache), loss and gradients by
// training's. Targets of −1 are not counted. f32 and bf16 (activations of model alone; parameters
// stay f32) run on the cpu's bodies, f64 (model, import and mhc alone) on the reference. Throws
// CheckpointError when a case lacks a tensor or a key, or has other parameters than its model.
#include "tests/support/tensor_file.h"

namespace birkhoff::testing {

TensorFile run_parity(const TensorFile& parity_case, DType dtype);

// The values of model.residual that configs may have.
std::vector<std::string> residuals_available();

}  // namespace birkhoff::testing
