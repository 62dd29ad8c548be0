// A cast handles four elements per thread: 16 bytes of f32 and 8 of bf16, whole sectors on both
// sides.
#include "kernels/cuda/cast.h"

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/flat.h"

namespace birkhoff::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kCast = 4;

__device__ inline void convert(float from, bf16& to) { to = round_bf16(from); }
__device__ inline void convert(bf16 from, float& to) { to = widen(from); }

template <int kN, class From, class To>
__device__ inline void cast_pack(const From* x, To* y, int64_t i) {
  const auto from = load<Cache::streaming>(reinterpret_cast<const Pack<From, kN>*>(x) + i);
  Pack<To, kN> to;
  for (int e = 0; e < kN; ++e) convert(from.v[e], to.v[e]);
  store<Cache::streaming>(reinterpret_cast<Pack<To, kN>*>(y) + i, to);
}

template <class From, class To>
__global__ void __launch_bounds__(kThreads) cast_elements(const From* x, To* y, int64_t count) {
  for_flat<kCast>(
      count, [&](int64_t pack) { cast_pack<kCast>(x, y, pack); },
      [&](int64_t i) { cast_pack<1>(x, y, i); });
}

template <class T>
__global__ void __launch_bounds__(kThreads) fill_elements(T* y, T value, int64_t count) {
  constexpr int kN = 16 / sizeof(T);
  Pack<T, kN> values;
  for (T& v : values.v) v = value;
  for_flat<kN>(
      count,
      [&](int64_t pack) {
        store<Cache::streaming>(reinterpret_cast<Pack<T, kN>*>(y) + pack, values);
      },
      [&](int64_t i) { store(y + i, value); });
}

template <class From, class To>
void cast(const char* name, const From* x, To* y, int64_t count, cudaStream_t stream) {
  require_aligned(name, {x, y});
  if (count == 0) return;
  launch(name, cast_elements<From, To>,
         {.grid = {flat_blocks(count, kCast, kThreads)}, .block = {kThreads}, .stream = stream}, x,
         y, count);
}

template <class T>
void fill_array(T* y, T value, int64_t count, cudaStream_t stream) {
  require_aligned("fill", {y});
  if (count == 0) return;
  launch("fill", fill_elements<T>,
         {.grid = {flat_blocks(count, 16 / sizeof(T), kThreads)},
          .block = {kThreads},
          .stream = stream},
         y, value, count);
}

}  // namespace

void round_to_bf16(const float* x, bf16* y, int64_t count, cudaStream_t stream) {
  cast("round_to_bf16", x, y, count, stream);
}
void widen_to_f32(const bf16* x, float* y, int64_t count, cudaStream_t stream) {
  cast("widen_to_f32", x, y, count, stream);
}
void fill(float* y, float value, int64_t count, cudaStream_t stream) {
  fill_array(y, value, count, stream);
}
void fill(bf16* y, bf16 value, int64_t count, cudaStream_t stream) {
  fill_array(y, value, count, stream);
}

}  // namespace birkhoff::cuda
