#pragma once
// Matrix products by cuBLASLt, behind the contract of kernels/linear.h. Emulated; not yet run on a
// GPU.
//
//   forward  a = x  [T, K], b = w [N, K] → y  [T, N] = base + x·wᵀ
//   dx       a = dy [T, N], b = w [N, K] → dx [T, K] = base + dy·w
//   dw       a = dy [T, N], b = x [T, K] → dw [N, K] = base + dyᵀ·x
//
// a and b are of one type: bf16, or f32, which is multiplied as f32, not as tf32. Where the
// contract has w wide and rounds it to bf16 as it is read, the caller has the rounded copy
// (cast.h). The result and its base are f32 or, of bf16, bf16: sums are f32 and rounded once, also
// where k is split; the same call has the same bits every time.
#include <memory>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"
#include "base/dtype.h"

namespace birkhoff::cuda {

class CublasLt;

enum class LinearKind { forward, dx, dw };

struct LinearProblem {
  LinearKind kind;
  int64_t tokens, outputs, inputs;  // T, N, K: at least 1
  DType factors, result;
};

struct LinearArgs {
  const void *a, *b;
  const void* base;  // null: absent; else elsewhere, or `out` itself
  void* out;
  DeviceBytes workspace;  // of workspace_bytes(), of this stream alone
};

// What cuBLASLt may use beside its arguments: what NVIDIA recommends for sm_90, the most of all.
inline constexpr size_t kMostLinearWorkspace = size_t{32} << 20;

// A product of given shapes, its algorithm chosen once: that takes a while, and memory of the host.
// Not for two threads at a time.
class LinearProduct {
 public:
  // `lt` outlives it. Throws InternalError for types that do not fit, or where cuBLASLt has no
  // algorithm; what a failed call does (cublaslt.h).
  LinearProduct(const CublasLt& lt, const LinearProblem& problem,
                size_t most_workspace = kMostLinearWorkspace);
  ~LinearProduct();
  LinearProduct(LinearProduct&&) noexcept;

  size_t workspace_bytes() const;
  // Not synchronised with anything but `stream`. Throws InternalError if an array is not aligned to
  // 16 bytes or the workspace is too small; what a failed call does.
  void run(const LinearArgs& args, const Stream& stream) const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace birkhoff::cuda
