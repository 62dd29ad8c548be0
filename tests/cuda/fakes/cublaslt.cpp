// A fake libcublasLt.so.13: functions that return their position in kernels/cuda/cublaslt.h.
#include <cstddef>

extern "C" {

size_t cublasLtGetVersion() { return 130102; }
const char* cublasLtGetStatusName(int) { return "fake"; }
int cublasLtCreate(void*) { return 1; }
int cublasLtDestroy(void*) { return 2; }
int cublasLtMatrixLayoutCreate() { return 3; }
int cublasLtMatrixLayoutDestroy() { return 4; }
int cublasLtMatmulDescCreate() { return 5; }
int cublasLtMatmulDescDestroy() { return 6; }
int cublasLtMatmulDescSetAttribute() { return 7; }
int cublasLtMatmulPreferenceCreate() { return 8; }
int cublasLtMatmulPreferenceDestroy() { return 9; }
int cublasLtMatmulPreferenceSetAttribute() { return 10; }
int cublasLtMatmulAlgoGetHeuristic() { return 11; }
int cublasLtMatmul() { return 12; }

}  // extern "C"
