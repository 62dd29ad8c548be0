// A cluster of two blocks of 64 threads; q has an element for a thread of block 0 alone.
#include "kernels/cuda/device/sm_90.h"
#include "tests/cuda/emulated/faulty.h"

namespace birkhoff::testing {
namespace {

using namespace cuda;

constexpr int kThreads = 64;
struct Shared {
  float a[kThreads];
};

using Kernel = void (*)(float* p, float* q);

__device__ void write_result(float* q, float value) {
  if (cluster_rank() == 0) store(q + thread(), value);
}

__global__ void harmless_cluster(float* p, float* q) {
  auto& s = shared<Shared>();
  const unsigned other = cluster_rank() ^ 1;
  s.a[thread()] = load(p + thread());
  sync_cluster();
  const float value = load(peer(&s.a[kThreads - 1 - thread()], other));
  sync_cluster();
  store(peer(&s.a[thread()], other), value);
  sync_cluster();
  write_result(q, s.a[thread()]);
}
__global__ void dropped_sync_cluster(float* p, float* q) {
  auto& s = shared<Shared>();
  sync_cluster();
  s.a[thread()] = load(p + thread());
  sync_block();
  const float value = load(peer(&s.a[thread()], cluster_rank() ^ 1));
  sync_cluster();
  write_result(q, value);
}
__global__ void peer_not_begun(float* p, float* q) {
  auto& s = shared<Shared>();
  store(peer(&s.a[thread()], cluster_rank() ^ 1), load(p + thread()));
  sync_cluster();
  write_result(q, s.a[thread()]);
}
__global__ void peer_returned(float* p, float* q) {
  auto& s = shared<Shared>();
  s.a[thread()] = load(p + thread());
  sync_cluster();
  if (cluster_rank() == 0) write_result(q, load(peer(&s.a[thread()], 1)));
}
__global__ void peer_out_of_cluster(float*, float* q) {
  auto& s = shared<Shared>();
  sync_cluster();
  write_result(q, load(peer(&s.a[thread()], cluster_size())));
}
__global__ void peer_of_global(float* p, float* q) {
  sync_cluster();
  write_result(q, load(peer(p + thread(), 1)));
}
__global__ void plain_peer(float* p, float* q) {
  auto& s = shared<Shared>();
  s.a[thread()] = load(p + thread());
  sync_cluster();
  const float value = *peer(&s.a[thread()], cluster_rank() ^ 1);
  sync_cluster();
  write_result(q, value);
}
__global__ void two_blocks_write_one(float* p, float* q) {
  auto& s = shared<Shared>();
  sync_cluster();
  store(peer(&s.a[thread()], 0), load(p + thread()));
  sync_cluster();
  write_result(q, s.a[thread()]);
}
__global__ void two_cluster_barriers(float* p, float*) {
  if (cluster_rank() == 0)
    sync_cluster();
  else
    sync_cluster();
  if (cluster_rank() == 0) store(p + thread(), 1.0f);
}
__global__ void cluster_deadlock(float* p, float*) {
  if (cluster_rank() == 1 && thread() < kWarp)
    sync_block();
  else
    sync_cluster();
  if (cluster_rank() == 0) store(p + thread(), 1.0f);
}

Kernel kernel_of(Fault fault) {
  constexpr Kernel kKernels[] = {harmless_cluster, dropped_sync_cluster, peer_not_begun,
                                 peer_returned,    peer_out_of_cluster,  peer_of_global,
                                 plain_peer,       two_blocks_write_one, two_cluster_barriers,
                                 cluster_deadlock};
  return kKernels[int(fault) - int(Fault::harmless_cluster)];
}

}  // namespace

void run_faulty_sm_90(Fault fault, float* p, float* q, cudaStream_t stream) {
  launch("faulty", kernel_of(fault),
         {.grid = {2}, .block = {kThreads}, .cluster = 2, .stream = stream}, p, q);
}

}  // namespace birkhoff::testing
