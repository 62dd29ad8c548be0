#include "kernels/bodies.h"

namespace birkhoff::cpu::avx512_bf16 {

bool supported() {
  static const bool kSupported =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return kSupported;
}

}  // namespace birkhoff::cpu::avx512_bf16
