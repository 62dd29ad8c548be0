// Stands in for kernels/cpu/avx512_bf16 in a build for another architecture: no machine supports
// it, so none of the others is ever called.
#include "kernels/bodies.h"
#include "base/error.h"
#include "kernels/cpu/routines.h"

namespace birkhoff::cpu::avx512_bf16 {
namespace {

[[noreturn]] void not_built() { throw InternalError("AVX512-BF16 is not part of this build"); }

}  // namespace

bool supported() { return false; }
void attention(const Args&) { not_built(); }
void attention_backward(const Args&) { not_built(); }
void mhc_open(const Args&) { not_built(); }
void mhc_open_backward(const Args&) { not_built(); }
void mhc_close(const Args&) { not_built(); }
void mhc_close_backward(const Args&) { not_built(); }
void swiglu(const Args&) { not_built(); }
void swiglu_backward(const Args&) { not_built(); }
void matmul_tile(const Product&, const MatmulTile&, std::byte*) { not_built(); }
void add_logits(const float*, int64_t, float&, float&) { not_built(); }
void scaled_softmax(const float*, int64_t, float, float, bf16*) { not_built(); }
float products(int64_t) { not_built(); }

}  // namespace birkhoff::cpu::avx512_bf16
