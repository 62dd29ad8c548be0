#pragma once
// What the operator table lists, by device: lists of implementations, and bodies that need no list
// because they take every call and no scratch. Included by table entries (kernels/<op>.cpp) and by
// the backends that define these names.
#include "kernels/operator.h"

namespace birkhoff {

namespace cpu {

// Lists are named after their operators, as bodies are.
// NOLINTBEGIN(readability-identifier-naming)
extern const Implementation attention[2];
extern const Implementation attention_backward[2];
extern const Implementation attention_decode[1];
extern const Implementation grouped_linear[1];
extern const Implementation grouped_linear_dw[1];
extern const Implementation grouped_linear_dx[1];
extern const Implementation hc_open[1];
extern const Implementation hc_open_backward[1];
extern const Implementation linear[1];
extern const Implementation linear_cross_entropy[1];
extern const Implementation linear_cross_entropy_loss[1];
extern const Implementation linear_dw[1];
extern const Implementation linear_dx[1];
extern const Implementation mhc_close[2];
extern const Implementation mhc_close_backward[2];
extern const Implementation mhc_open[2];
extern const Implementation mhc_open_backward[2];
extern const Implementation readout[1];
extern const Implementation readout_backward[1];
extern const Implementation rms_norm_backward[1];
extern const Implementation rope[1];
extern const Implementation route[1];
extern const Implementation route_layout[1];
extern const Implementation squared_sum[1];
extern const Implementation stream_statistics[1];
extern const Implementation swiglu[2];
extern const Implementation swiglu_backward[2];
// NOLINTEND(readability-identifier-naming)

void adamw(const Args& args);
void balance_update(const Args& args);
void broadcast_scale(const Args& args);
void cache_write(const Args& args);
void clip_scale(const Args& args);
void combine(const Args& args);
void combine_backward(const Args& args);
void concat(const Args& args);
void copy_streams(const Args& args);
void dispatch(const Args& args);
void dispatch_backward(const Args& args);
void embedding(const Args& args);
void embedding_backward(const Args& args);
void identity(const Args& args);
void mean_streams(const Args& args);
void mla_keys(const Args& args);
void mla_keys_backward(const Args& args);
void rms_norm(const Args& args);
void route_backward(const Args& args);
void split(const Args& args);
void spread_streams(const Args& args);
void sum_streams(const Args& args);
void weighted_sum(const Args& args);

// For processors with AVX512-BF16; in a build for another architecture a twin stands in that
// is never supported (kernels/cpu/no_avx512_bf16).
namespace avx512_bf16 {
bool supported();
void attention(const Args& args);
void attention_backward(const Args& args);
void mhc_open(const Args& args);
void mhc_open_backward(const Args& args);
void mhc_close(const Args& args);
void mhc_close_backward(const Args& args);
void swiglu(const Args& args);
void swiglu_backward(const Args& args);
}  // namespace avx512_bf16

}  // namespace cpu

namespace reference {

void adamw(const Args& args);
void attention(const Args& args);
void attention_backward(const Args& args);
void attention_decode(const Args& args);
void balance_update(const Args& args);
void broadcast_scale(const Args& args);
void cache_write(const Args& args);
void clip_scale(const Args& args);
void combine(const Args& args);
void combine_backward(const Args& args);
void concat(const Args& args);
void copy_streams(const Args& args);
void dispatch(const Args& args);
void dispatch_backward(const Args& args);
void embedding(const Args& args);
void embedding_backward(const Args& args);
void grouped_linear(const Args& args);
void grouped_linear_dw(const Args& args);
void grouped_linear_dx(const Args& args);
void hc_open(const Args& args);
void hc_open_backward(const Args& args);
void identity(const Args& args);
void linear(const Args& args);
void linear_cross_entropy(const Args& args);
void linear_cross_entropy_loss(const Args& args);
void linear_dw(const Args& args);
void linear_dx(const Args& args);
void mean_streams(const Args& args);
void mhc_close(const Args& args);
void mhc_close_backward(const Args& args);
void mhc_open(const Args& args);
void mhc_open_backward(const Args& args);
void mla_keys(const Args& args);
void mla_keys_backward(const Args& args);
void readout(const Args& args);
void readout_backward(const Args& args);
void rms_norm(const Args& args);
void rms_norm_backward(const Args& args);
void rope(const Args& args);
void route(const Args& args);
void route_backward(const Args& args);
void route_layout(const Args& args);
void split(const Args& args);
void spread_streams(const Args& args);
void squared_sum(const Args& args);
void stream_statistics(const Args& args);
void sum_streams(const Args& args);
void swiglu(const Args& args);
void swiglu_backward(const Args& args);
void weighted_sum(const Args& args);

}  // namespace reference
}  // namespace birkhoff
