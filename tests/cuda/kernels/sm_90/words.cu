#include "tests/cuda/kernels/sm_90/words.h"

#include "kernels/cuda/device/sm_90.h"

namespace birkhoff::testing {
namespace {

using namespace cuda;

constexpr unsigned kThreads = 64;
using Four = Pack<float, 4>;

__global__ void ranks(unsigned* out) {
  if (thread() != 0) return;
  store(out + 2 * block_index().x, cluster_rank());
  store(out + 2 * block_index().x + 1, cluster_size());
}

struct Values {
  alignas(16) float v[kThreads];
};

__device__ unsigned next_rank() { return (cluster_rank() + 1) % cluster_size(); }

__global__ void read_next(const float* in, float* out) {
  auto& s = shared<Values>();
  const unsigned i = block_index().x * kThreads + thread();
  s.v[thread()] = load(in + i);
  sync_cluster();
  const float value = load(peer(&s.v[kThreads - 1 - thread()], next_rank()));
  sync_cluster();
  store(out + i, value);
}

__global__ void write_next(const float* in, float* out) {
  auto& s = shared<Values>();
  const unsigned i = block_index().x * kThreads + 4 * thread();
  sync_cluster();
  if (thread() < kThreads / 4)
    store(peer(reinterpret_cast<Four*>(s.v) + thread(), next_rank()),
          load(reinterpret_cast<const Four*>(in + i)));
  sync_cluster();
  store(out + block_index().x * kThreads + thread(), s.v[thread()]);
}

Launch clusters(unsigned blocks, unsigned cluster, cudaStream_t stream) {
  return {.grid = {blocks}, .block = {kThreads}, .cluster = cluster, .stream = stream};
}

}  // namespace

void run_ranks(unsigned* out, unsigned blocks, unsigned cluster, cudaStream_t stream) {
  launch("ranks", ranks, clusters(blocks, cluster, stream), out);
}
void run_read_next(const float* in, float* out, unsigned blocks, unsigned cluster,
                   cudaStream_t stream) {
  launch("read_next", read_next, clusters(blocks, cluster, stream), in, out);
}
void run_write_next(const float* in, float* out, unsigned blocks, unsigned cluster,
                    cudaStream_t stream) {
  launch("write_next", write_next, clusters(blocks, cluster, stream), in, out);
}

}  // namespace birkhoff::testing
