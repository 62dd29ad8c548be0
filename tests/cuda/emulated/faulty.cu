#include "tests/cuda/emulated/faulty.h"

#include "kernels/cuda/device/device.h"

namespace birkhoff::testing {
namespace {

using namespace cuda;

constexpr int kThreads = 64;
struct Shared {
  float a[kThreads];
};

using Kernel = void (*)(float* p, float* q);

__global__ void harmless(float* p, float* q) {
  auto& s = shared<Shared>();
  const int i = int(thread());
  s.a[i] = load(p + i);
  sync_block();
  store(q + i, s.a[kThreads - 1 - i]);
}
__global__ void out_of_bounds(float* p, float*) { store(p + thread() + 1, 1.0f); }
// 64 floats end at a multiple of 256 bytes, so the guard page follows them directly.
__global__ void out_of_bounds_plain(float* p, float*) { p[thread() + 1] = 1; }
__global__ void plain_access(float* p, float* q) { store(q + thread(), p[thread()]); }
__global__ void out_of_bounds_shared(float* p, float* q) {
  auto& s = shared<Shared>();
  float* a = s.a;
  a[thread() + 1] = load(p + thread());
  sync_block();
  store(q + thread(), thread() == 0 ? 0 : a[thread()]);
}
__global__ void misaligned(float* p, float*) {
  if (thread() == 0) store(reinterpret_cast<Pack<float, 4>*>(p + 1), {});
}
__global__ void host_memory(float* p, float*) {
  float mine = 0;
  store(thread() == 0 ? &mine : p + thread(), 1.0f);
}
__global__ void wrong_mask(float* p, float*) {
  store(p + thread(), shuffle_xor(0x0000FFFFu, 1.0f, 1));
}
__global__ void divergent(float* p, float*) {
  float sum = 1;
  if (thread() % kWarp < 16) sum = shuffle_xor(kFullMask, sum, 1);
  store(p + thread(), sum);
}
__global__ void two_collectives(float* p, float*) {
  float sum = 1;
  if (thread() % 2 == 0)
    sum = shuffle_xor(kFullMask, sum, 1);
  else
    sum = shuffle_xor(kFullMask, sum, 1);
  store(p + thread(), sum);
}
__global__ void exited_lane(float* p, float*) {
  if (thread() % kWarp == 7) return;
  store(p + thread(), shuffle_xor(kFullMask, 1.0f, 1));
}
__global__ void two_barriers(float* p, float*) {
  if (thread() < kWarp)
    sync_block();
  else
    sync_block();
  store(p + thread(), 1.0f);
}
__global__ void deadlock(float* p, float*) {
  if (thread() == kWarp)
    sync_warp(kFullMask);
  else
    sync_block();
  store(p + thread(), 1.0f);
}
__global__ void dropped_barrier(float* p, float* q) {
  auto& s = shared<Shared>();
  const int i = int(thread());
  s.a[i] = load(p + i);
  store(q + i, s.a[(i + int(kWarp)) % kThreads]);
}
__global__ void dropped_sync_warp(float* p, float* q) {
  auto& s = shared<Shared>();
  const int i = int(thread());
  s.a[i] = load(p + i);
  shuffle_xor(kFullMask, 1, 1);  // synchronises the lanes, but orders no memory
  store(q + i, s.a[i ^ 1]);
}
__global__ void uninitialised_shared(float*, float* q) {
  auto& s = shared<Shared>();
  if (thread() != 3) s.a[thread()] = 1;
  sync_block();
  store(q + thread(), s.a[thread()]);
}
__global__ void uninitialised_global(float*, float* q) {
  store(q + thread(), load(q + thread()) + 1);
}
__global__ void two_writers(float* p, float*) { store(p + thread(), float(block_index().x)); }
__global__ void block_reads_block(float* p, float* q) {
  if (block_index().x == 0)
    store(p + thread(), 1.0f);
  else
    store(q + thread(), load(p + thread()));
}
__device__ float deep(float x, int depth) {
  volatile float room[64];
  room[depth % 64] = x;
  return depth == 0 ? x : deep(x, depth - 1) + room[depth % 64];
}
__global__ void endless_stack(float* p, float*) { store(p + thread(), deep(1, 1 << 20)); }

Kernel kernel_of(Fault fault) {
  constexpr Kernel kKernels[] = {harmless,
                                 out_of_bounds,
                                 out_of_bounds_plain,
                                 plain_access,
                                 out_of_bounds_shared,
                                 misaligned,
                                 host_memory,
                                 wrong_mask,
                                 divergent,
                                 two_collectives,
                                 exited_lane,
                                 two_barriers,
                                 deadlock,
                                 dropped_barrier,
                                 dropped_sync_warp,
                                 uninitialised_shared,
                                 uninitialised_global,
                                 two_writers,
                                 block_reads_block,
                                 endless_stack};
  return kKernels[int(fault)];
}

}  // namespace

void run_faulty(Fault fault, float* p, float* q, cudaStream_t stream) {
  if (fault >= Fault::harmless_cluster) return run_faulty_sm_90(fault, p, q, stream);
  const bool two = fault == Fault::two_writers || fault == Fault::block_reads_block;
  launch("faulty", kernel_of(fault),
         {.grid = {two ? 2u : 1u}, .block = {kThreads}, .stream = stream}, p, q);
}

}  // namespace birkhoff::testing
