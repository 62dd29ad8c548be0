#include "kernels/cuda/cublaslt.h"

#include "base/error.h"

namespace birkhoff::cuda {

CublasLtFunctions cublaslt_functions(const LoadedLibrary& loaded) {
  const SharedLibrary& library = loaded.library;
  if (!library.loaded())
    throw ConfigError(
        fmt::format("matrix products on a GPU need cuBLASLt: {}; install the CUDA toolkit, or the "
                    "package nvidia-cublas with its folder in LD_LIBRARY_PATH",
                    loaded.line));
  CublasLtFunctions f{};
  const auto bind = [&](auto*& function, const char* name) {
    function =
        library.symbol<std::remove_pointer_t<std::remove_reference_t<decltype(function)>>>(name);
    birkhoff::check(function != nullptr, "{} has no function {}", library.name(), name);
  };
  bind(f.create, "cublasLtCreate");
  bind(f.destroy, "cublasLtDestroy");
  bind(f.status_name, "cublasLtGetStatusName");
  bind(f.layout_create, "cublasLtMatrixLayoutCreate");
  bind(f.layout_destroy, "cublasLtMatrixLayoutDestroy");
  bind(f.desc_create, "cublasLtMatmulDescCreate");
  bind(f.desc_destroy, "cublasLtMatmulDescDestroy");
  bind(f.desc_set, "cublasLtMatmulDescSetAttribute");
  bind(f.preference_create, "cublasLtMatmulPreferenceCreate");
  bind(f.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  bind(f.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  bind(f.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  bind(f.matmul, "cublasLtMatmul");
  return f;
}

CublasLt::CublasLt(const Gpu& gpu, const CublasLtFunctions& functions)
    : gpu_(gpu), functions_(functions) {
  check(functions_.create(&handle_), "cublasLtCreate");
}

void CublasLt::check(cublasStatus_t status, const char* call) const {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ExitCode code =
      status == CUBLAS_STATUS_ALLOC_FAILED ? ExitCode::resource : ExitCode::internal;
  throw_error(code, fmt::format("{}: {}", gpu_.failed(call), functions_.status_name(status)));
}

}  // namespace birkhoff::cuda
