#include "kernels/cpu/avx512_bf16/bodies.h"

#include <atomic>

namespace birkhoff::cpu {
namespace {

constexpr PairBodies kBodies{
    .matmul_tile = avx512_bf16::matmul_tile,
    .attention = avx512_bf16::attention,
    .attention_backward = avx512_bf16::attention_backward,
    .mhc_open = avx512_bf16::mhc_open,
    .mhc_open_backward = avx512_bf16::mhc_open_backward,
    .mhc_close = avx512_bf16::mhc_close,
    .mhc_close_backward = avx512_bf16::mhc_close_backward,
    .swiglu = avx512_bf16::swiglu,
    .swiglu_backward = avx512_bf16::swiglu_backward,
    .add_logits = avx512_bf16::add_logits,
    .scaled_softmax = avx512_bf16::scaled_softmax,
    .products = avx512_bf16::products,
    .products_flops = int64_t(4) * 16 * avx512_bf16::kProductChains,
};

std::atomic<bool> allowed{true};

}  // namespace

const PairBodies* pair_bodies() {
  static const bool kSupported =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return kSupported && allowed.load(std::memory_order_relaxed) ? &kBodies : nullptr;
}

void allow_pairs(bool on) { allowed.store(on, std::memory_order_relaxed); }

}  // namespace birkhoff::cpu
