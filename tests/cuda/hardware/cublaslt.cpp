#include "tests/cuda/support/cublaslt.h"

namespace birkhoff::testing {

cuda::CublasLtFunctions cublaslt() {
  return cuda::cublaslt_functions(cuda::load(cuda::cublaslt_need()));
}

}  // namespace birkhoff::testing
