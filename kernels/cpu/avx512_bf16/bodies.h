#pragma once
// The entries of PairBodies, see kernels/cpu/pairs.h.
#include "kernels/cpu/pairs.h"

namespace birkhoff::cpu::avx512_bf16 {

void matmul_tile(const Product& p, const MatmulTile& tile, std::byte* workspace);
void attention(const Args& args);
void attention_backward(const Args& args);
void mhc_open(const Args& args);
void mhc_open_backward(const Args& args);
void mhc_close(const Args& args);
void mhc_close_backward(const Args& args);
void swiglu(const Args& args);
void swiglu_backward(const Args& args);
void add_logits(const float* logits, int64_t count, float& maximum, float& sum);
void scaled_softmax(const float* logits, int64_t count, float lse, float scale, bf16* dl);

// Two units with a latency of 6 cycles need 12 chains.
inline constexpr int kProductChains = 12;
float products(int64_t rounds);

}  // namespace birkhoff::cpu::avx512_bf16
