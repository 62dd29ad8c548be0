#pragma once
// cuBLASLt, loaded at run time (base/cuda/libraries.h): its functions, and a handle for one GPU.
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

// Looks up the functions in a loaded library. Throws ConfigError, with the reason in `loaded.line`,
// if cuBLASLt is missing or too old; InternalError if it lacks a function.
CublasLtFunctions cublaslt_functions(const LoadedLibrary& loaded);

// A cuBLASLt handle, for one thread at a time. The Gpu must outlive it.
class CublasLt {
 public:
  // Throws as check() does if the handle cannot be created.
  CublasLt(const Gpu& gpu, const CublasLtFunctions& functions);
  ~CublasLt() { functions_.destroy(handle_); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  const Gpu& gpu() const { return gpu_; }
  const CublasLtFunctions& functions() const { return functions_; }
  cublasLtHandle_t handle() const { return handle_; }
  // Throws, naming call, operator, rank and device, unless `status` is success: ResourceError if
  // memory ran out, InternalError otherwise.
  void check(cublasStatus_t status, const char* call) const;

 private:
  const Gpu& gpu_;
  CublasLtFunctions functions_;
  cublasLtHandle_t handle_ = nullptr;
};

}  // namespace birkhoff::cuda
