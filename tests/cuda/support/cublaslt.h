#pragma once
// cuBLASLt for tests: the emulated one (emulated_cublaslt.cpp) or the real library (hardware/).
#include "kernels/cuda/cublaslt.h"

namespace birkhoff::testing {

cuda::CublasLtFunctions cublaslt();

}  // namespace birkhoff::testing
