#include "tests/cuda/support/cublaslt.h"

namespace birkhoff::testing {

cuda::CublasLtFunctions cublaslt() {
  return {.create = cublasLtCreate,
          .destroy = cublasLtDestroy,
          .status_name = cublasLtGetStatusName,
          .layout_create = cublasLtMatrixLayoutCreate,
          .layout_destroy = cublasLtMatrixLayoutDestroy,
          .desc_create = cublasLtMatmulDescCreate,
          .desc_destroy = cublasLtMatmulDescDestroy,
          .desc_set = cublasLtMatmulDescSetAttribute,
          .preference_create = cublasLtMatmulPreferenceCreate,
          .preference_destroy = cublasLtMatmulPreferenceDestroy,
          .preference_set = cublasLtMatmulPreferenceSetAttribute,
          .heuristic = cublasLtMatmulAlgoGetHeuristic,
          .matmul = cublasLtMatmul};
}

}  // namespace birkhoff::testing
