#pragma once
// cuBLASLt, loaded at run time (base/cuda/libraries.h): its functions, and a handle for a GPU.
#include <cublasLt.h>

#include "base/cuda/gpu.h"
#include "base/cuda/libraries.h"

namespace birkhoff::cuda {

struct CublasLtFunctions {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetStatusName) status_name;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&cublasLtMatmul) matmul;
};

// Those of a library. Throws ConfigError with its line if it is not
// what is needed.
CublasLtFunctions cublaslt_functions(const LoadedLibrary& loaded);

// Neither copied nor shared by threads; outlived by its Gpu.
class CublasLt {
 public:
  // Throws what a failed call does (check()).
  CublasLt(const Gpu& gpu, const CublasLtFunctions& functions);
  ~CublasLt() { functions_.destroy(handle_); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  const Gpu& gpu() const { return gpu_; }
  const CublasLtFunctions& functions() const { return functions_; }
  cublasLtHandle_t handle() const { return handle_; }
  // Throws with call, operator, rank and device unless `status` is a success: ResourceError for
  // memory, else InternalError.
  void check(cublasStatus_t status, const char* call) const;

 private:
  const Gpu& gpu_;
  CublasLtFunctions functions_;
  cublasLtHandle_t handle_ = nullptr;
};

}  // namespace birkhoff::cuda
