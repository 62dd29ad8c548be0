// Kernels that each break one rule of scripts/ptx_check, except `clean`. Its self-test compiles
// them and must find every fault. They are never run.
#include "kernels/cuda/device/device.h"

namespace birkhoff::planted {

using namespace cuda;
using Floats = Pack<float, 4>;

__global__ void __launch_bounds__(256) clean(const Floats* in, Floats* out) {
  store(out + thread(), load(in + thread()));
}

__global__ void unbounded(const Floats* in, Floats* out) {
  store(out + thread(), load(in + thread()));
}

// Compiled for fewer threads than its need has.
__global__ void __launch_bounds__(256) bounded(const Floats* in, Floats* out) {
  store(out + thread(), load(in + thread()));
}

// 4 bytes per access.
__global__ void __launch_bounds__(256) narrow(const float* in, float* out) {
  store(out + thread(), load(in + thread()));
}

__global__ void __launch_bounds__(256) narrow_store(const Floats* in, float* out) {
  const Floats x = load(in + thread());
  store(out + thread(), x.v[0] + x.v[1] + x.v[2] + x.v[3]);
}

// The index is known only at run time, so the array is in local memory.
__global__ void __launch_bounds__(256) local_array(const Floats* in, Floats* out) {
  Floats all[32];
  for (int i = 0; i < 32; ++i) all[i] = load(in + i);
  store(out + thread(), all[unsigned(all[31].v[3]) % 32]);
}

// The same, inside a called function that is not part of the kernel's own code.
__device__ __noinline__ float pick(const Floats* in, unsigned index) {
  Floats all[32];
  for (int i = 0; i < 32; ++i) all[i] = load(in + i);
  return all[index % 32].v[0];
}
__global__ void __launch_bounds__(256) calls(const Floats* in, Floats* out) {
  Floats x = load(in + thread());
  x.v[0] = pick(in, unsigned(x.v[0]));
  store(out + thread(), x);
}

// 1024 threads leave 64 registers each, and 128 values are needed after a store that could have
// changed them in memory, so they cannot be loaded again.
__global__ void __launch_bounds__(1024) spills(const Floats* in, Floats* out) {
  Floats all[32], sum = {};
  for (int i = 0; i < 32; ++i) all[i] = load(in + i * 1024 + thread());
  for (int i = 0; i < 32; ++i) sum.v[i % 4] += all[i].v[0] * all[31 - i].v[1];
  store(out + thread(), sum);
  for (int i = 0; i < 32; ++i) store(out + (i + 1) * 1024 + thread(), all[31 - i]);
}

__global__ void __launch_bounds__(256) multiplies(const Floats* in, Floats* out) {
  const Floats x = load(in + thread());
  MmaD d = {};
  mma_tf32(d, {{to_tf32(x.v[0]), to_tf32(x.v[1]), to_tf32(x.v[2]), to_tf32(x.v[3])}},
           {{to_tf32(x.v[1]), to_tf32(x.v[3])}});
  store(out + thread(), {{d.v[0], d.v[1], d.v[2], d.v[3]}});
}

// Static and dynamic shared memory together exceed what any multiprocessor has.
struct Much {
  float values[12 * 1024];
};
__global__ void __launch_bounds__(256) too_large(const Floats* in, Floats* out) {
  auto& s = shared<Much>();
  for (int i = 0; i < 4; ++i) s.values[4 * thread() + i] = load(in + thread()).v[i];
  sync_block();
  Floats x;
  for (int i = 0; i < 4; ++i) x.v[i] = s.values[4 * (thread() ^ 1) + i];
  store(out + thread(), x);
}

}  // namespace birkhoff::planted
