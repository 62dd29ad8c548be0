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

struct Buffer {
  alignas(16) float v[kThreads];
  Mbarrier full, empty;
};

__global__ void copy_rounds(const float* in, float* out, int n, int rounds) {
  auto& s = shared<Buffer>();
  if (thread() == 0) {
    mbarrier_init(&s.full, 1);
    mbarrier_init(&s.empty, kThreads);
    fence_async();
  }
  sync_block();
  float sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (thread() == 0) {
      if (round > 0) mbarrier_wait(&s.empty, unsigned(round - 1) % 2);
      mbarrier_arrive_expect(&s.full, unsigned(n * sizeof(float)));
      copy_bulk(s.v, in + round * int(kThreads), unsigned(n * sizeof(float)), &s.full);
    }
    mbarrier_wait(&s.full, unsigned(round) % 2);
    if (int(thread()) < n) sum += s.v[thread()];
    mbarrier_arrive(&s.empty);
  }
  if (int(thread()) < n) store(out + thread(), sum);
}

struct Written {
  int v[3][kThreads];
  Mbarrier all;
};

__global__ void arrivals(int* counts) {
  auto& s = shared<Written>();
  if (thread() == 0) mbarrier_init(&s.all, kThreads);
  sync_block();
  for (int phase = 0; phase < 3; ++phase) {
    s.v[phase][thread()] = 1;
    mbarrier_arrive(&s.all);
    mbarrier_wait(&s.all, unsigned(phase) % 2);
    int count = 0;
    for (unsigned i = 0; i < kThreads; ++i) count += s.v[phase][i];
    store(counts + phase * int(kThreads) + int(thread()), count);
  }
}

struct FromPeers {
  int v[2][kMaxCluster][kThreads];
  Mbarrier all;
};

// A round's values are read before those of the next but one overwrite them: a block that writes
// the latter has waited for the next round's arrivals, which follow every thread's reads.
__global__ void peer_arrivals(int* sums) {
  auto& s = shared<FromPeers>();
  const unsigned blocks = cluster_size(), rank = cluster_rank();
  if (thread() == 0) mbarrier_init(&s.all, blocks * kThreads);
  sync_cluster();
  for (unsigned round = 0; round < 3; ++round) {
    for (unsigned to = 0; to < blocks; ++to) {
      store(peer(&s.v[round % 2][rank][thread()], to), int(1000 * round + rank));
      mbarrier_arrive_at_peer(&s.all, to);
    }
    mbarrier_wait_for_peers(&s.all, round % 2);
    int sum = 0;
    for (unsigned from = 0; from < blocks; ++from)
      sum += s.v[round % 2][from][kThreads - 1 - thread()];
    store(sums + (round * blocks + rank) * kThreads + thread(), sum);
  }
  sync_cluster();
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

void run_copy_bulk(const float* in, float* out, int n, int rounds, cudaStream_t stream) {
  launch("copy_rounds", copy_rounds, clusters(1, 1, stream), in, out, n, rounds);
}
void run_arrivals(int* counts, cudaStream_t stream) {
  launch("arrivals", arrivals, clusters(1, 1, stream), counts);
}
void run_peer_arrivals(int* sums, unsigned cluster, cudaStream_t stream) {
  launch("peer_arrivals", peer_arrivals, clusters(cluster, cluster, stream), sums);
}

}  // namespace birkhoff::testing
