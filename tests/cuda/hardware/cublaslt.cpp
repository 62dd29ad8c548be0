#include "tests/cuda/support/cublaslt.h"

namespace birkhoff::testing {

cuda::CublasLtFunctions cublaslt() {
  static const cuda::LoadedLibrary library = cuda::load(cuda::cublaslt_need());
  return cuda::cublaslt_functions(library);
}

}  // namespace birkhoff::testing
