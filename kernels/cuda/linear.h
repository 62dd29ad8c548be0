#pragma once
// Matrix products by cuBLASLt, with the contract of kernels/linear.h. Emulated; not yet run on a
// GPU.
//
//   forward  a = x  [T, K], b = w [N, K] → y  [T, N] = base + x·wᵀ
//   dx       a = dy [T, N], b = w [N, K] → dx [T, K] = base + dy·w
//   dw       a = dy [T, N], b = x [T, K] → dw [N, K] = base + dyᵀ·x
//
// a and b have the same type: bf16, or f32, which is multiplied as f32, not as tf32. Where the
// contract takes a wide w and rounds it to bf16 on reading, the caller passes a rounded copy
// (cast.h). The result and its base are f32 or, for bf16 factors, bf16. Sums are f32 and rounded
// once, even where k is split; repeating a call gives the same bits.
#include <memory>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"
#include "base/dtype.h"

namespace birkhoff::cuda {

class CublasLt;

enum class LinearKind { forward, dx, dw };

struct LinearProblem {
  LinearKind kind;
  int64_t tokens, outputs, inputs;  // T, N, K; each at least 1
  DType factors, result;
};

struct LinearArgs {
  const void *a, *b;
  const void* base;  // null (absent), `out` itself, or a separate array
  void* out;
  DeviceBytes workspace;  // at least workspace_bytes(), used by this stream only
};

// Most workspace that cuBLASLt may use: NVIDIA's recommendation for sm_90, its highest.
inline constexpr size_t kMostLinearWorkspace = size_t{32} << 20;

// A product of given shapes. Its algorithm is chosen once, at construction, which takes time and
// host memory. Not thread-safe.
class LinearProduct {
 public:
  // `lt` must outlive it. Throws InternalError for an unsupported problem or if cuBLASLt has no
  // algorithm for it; a failed call throws as CublasLt::check() does.
  LinearProduct(const CublasLt& lt, const LinearProblem& problem,
                size_t most_workspace = kMostLinearWorkspace);
  ~LinearProduct();
  LinearProduct(LinearProduct&&) noexcept;

  size_t workspace_bytes() const;
  // Synchronised only with `stream`. Throws InternalError if an array is not aligned to 16 bytes or
  // the workspace is too small; a failed call throws as CublasLt::check() does.
  void run(const LinearArgs& args, const Stream& stream) const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace birkhoff::cuda
