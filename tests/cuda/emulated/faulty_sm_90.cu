// A cluster of two blocks of 64 threads; q has one element per thread of block 0.
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

// A block's buffer, filled by bulk copies of p.
struct Buffered {
  Mbarrier full, empty, other;
  alignas(16) float a[kThreads];
};
constexpr unsigned kBytes = kThreads * sizeof(float);

__device__ Buffered& buffered() {
  auto& s = shared<Buffered>();
  if (thread() == 0) {
    mbarrier_init(&s.full, 1);
    mbarrier_init(&s.empty, kThreads);
    mbarrier_init(&s.other, 1);
    fence_async();
  }
  sync_block();
  return s;
}
__device__ void fill(Buffered& s, const float* p, unsigned expected = kBytes) {
  if (thread() != 0) return;
  mbarrier_arrive_expect(&s.full, expected);
  copy_bulk(s.a, p, kBytes, &s.full);
}

__global__ void bulk_harmless(float* p, float* q) {
  auto& s = buffered();
  float sum = 0;
  for (unsigned round = 0; round < 3; ++round) {
    if (thread() == 0 && round > 0) mbarrier_wait(&s.empty, (round - 1) % 2);
    fill(s, p);
    mbarrier_wait(&s.full, round % 2);
    sum += s.a[kThreads - 1 - thread()];
    mbarrier_arrive(&s.empty);
  }
  write_result(q, sum);
}
__global__ void bulk_wrong_parity(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  mbarrier_wait(&s.full, 1);
  write_result(q, s.a[thread()]);
  mbarrier_wait(&s.full, 0);
}
template <unsigned kExpected>
__global__ void bulk_expects(float* p, float* q) {
  auto& s = buffered();
  fill(s, p, kExpected);
  mbarrier_wait(&s.full, 0);
  write_result(q, s.a[thread()]);
}
__global__ void bulk_read_before_wait(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  const float value = s.a[thread()];
  mbarrier_wait(&s.full, 0);
  write_result(q, value);
}
__global__ void bulk_wrong_thread_waits(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  if (thread() == 0) mbarrier_wait(&s.full, 0);
  write_result(q, s.a[thread()]);
}
__global__ void bulk_over_what_is_read(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  mbarrier_wait(&s.full, 0);
  const float value = s.a[thread()];
  if (thread() == 0) {  // ordered only after its own read
    mbarrier_arrive_expect(&s.other, kBytes);
    copy_bulk(s.a, p, kBytes, &s.other);
  }
  mbarrier_wait(&s.other, 0);
  write_result(q, value + s.a[thread()]);
}
__global__ void bulk_write_in_flight(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  if (thread() == 0) s.a[5] = 1;
  mbarrier_wait(&s.full, 0);
  write_result(q, s.a[thread()]);
}
__global__ void bulk_copies_overlap(float* p, float* q) {
  auto& s = buffered();
  if (thread() == 0) copy_bulk(s.a, p, kBytes, &s.full);
  fill(s, p, 2 * kBytes);
  mbarrier_wait(&s.full, 0);
  write_result(q, s.a[thread()]);
}
__global__ void bulk_misaligned(float* p, float*) {
  auto& s = buffered();
  if (thread() == 0) copy_bulk(s.a, p + 1, 16, &s.full);
}
__global__ void bulk_odd_size(float* p, float*) {
  auto& s = buffered();
  if (thread() == 0) copy_bulk(s.a, p, 24, &s.full);
}
__global__ void bulk_not_waited_for(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  write_result(q, 0);
}
__global__ void bulk_init_not_fenced(float* p, float* q) {
  auto& s = shared<Buffered>();
  if (thread() == 0) mbarrier_init(&s.full, 1);
  sync_block();
  fill(s, p);
  mbarrier_wait(&s.full, 0);
  write_result(q, s.a[thread()]);
}
__global__ void bulk_writes_not_fenced(float* p, float* q) {
  auto& s = buffered();
  s.a[thread()] = 1;
  sync_block();
  fill(s, p);
  mbarrier_wait(&s.full, 0);
  write_result(q, s.a[thread()]);
}
__global__ void mbarrier_not_seen(float*, float* q) {
  auto& s = shared<Buffered>();
  if (thread() == 0) mbarrier_init(&s.full, kThreads);
  sync_warp(kFullMask);
  mbarrier_arrive(&s.full);
  mbarrier_wait(&s.full, 0);
  write_result(q, 0);
}
__global__ void mbarrier_never_made(float*, float*) { mbarrier_wait(&shared<Buffered>().full, 0); }
__global__ void mbarrier_arrives_twice(float*, float*) {
  auto& s = buffered();
  if (thread() != 0) return;
  mbarrier_arrive_expect(&s.full, 16);
  mbarrier_arrive(&s.full);
}
__global__ void mbarrier_phase_skipped(float* p, float* q) {
  auto& s = buffered();
  fill(s, p);
  mbarrier_wait(&s.full, 0);
  mbarrier_wait(&s.full, 1);
  write_result(q, s.a[thread()]);
}

// Each block's mbarrier, at which the threads of the other block arrive.
struct Visited {
  Mbarrier peers;
  float a[kThreads];
};
__device__ Visited& visited() {
  auto& s = shared<Visited>();
  if (thread() == 0) mbarrier_init(&s.peers, kThreads);
  sync_cluster();
  return s;
}
__device__ unsigned other() { return cluster_rank() ^ 1; }
__device__ void give(Visited& s, float* p) {
  store(peer(&s.a[thread()], other()), load(p + thread()));
}
__global__ void peer_arrivals_harmless(float* p, float* q) {
  auto& s = visited();
  give(s, p);
  mbarrier_arrive_at_peer(&s.peers, other());
  mbarrier_wait_for_peers(&s.peers, 0);
  write_result(q, s.a[kThreads - 1 - thread()]);
  sync_cluster();
}
__global__ void peer_arrival_unseen(float* p, float* q) {
  auto& s = visited();
  give(s, p);
  mbarrier_arrive_at_peer(&s.peers, other());
  mbarrier_wait(&s.peers, 0);
  write_result(q, s.a[thread()]);
  sync_cluster();
}
__global__ void peer_arrival_too_early(float* p, float* q) {
  auto& s = visited();
  mbarrier_arrive_at_peer(&s.peers, other());
  give(s, p);
  mbarrier_wait_for_peers(&s.peers, 0);
  write_result(q, s.a[thread()]);
  sync_cluster();
}
__global__ void peer_arrival_not_begun(float*, float* q) {
  auto& s = shared<Visited>();
  if (thread() == 0) mbarrier_init(&s.peers, kThreads);
  sync_block();
  if (cluster_rank() == 1) mbarrier_arrive_at_peer(&s.peers, 0);
  if (cluster_rank() == 0) mbarrier_wait_for_peers(&s.peers, 0);
  write_result(q, 0);
  sync_cluster();
}
__global__ void peer_arrival_of_nothing(float*, float* q) {
  auto& s = shared<Visited>();
  sync_cluster();
  mbarrier_arrive_at_peer(&s.peers, other());
  write_result(q, 0);
}

Kernel kernel_of(Fault fault) {
  constexpr Kernel kKernels[] = {harmless_cluster,
                                 dropped_sync_cluster,
                                 peer_not_begun,
                                 peer_returned,
                                 peer_out_of_cluster,
                                 peer_of_global,
                                 plain_peer,
                                 two_blocks_write_one,
                                 two_cluster_barriers,
                                 cluster_deadlock,
                                 bulk_harmless,
                                 bulk_wrong_parity,
                                 bulk_expects<kBytes - 16>,
                                 bulk_expects<kBytes + 16>,
                                 bulk_read_before_wait,
                                 bulk_wrong_thread_waits,
                                 bulk_over_what_is_read,
                                 bulk_write_in_flight,
                                 bulk_copies_overlap,
                                 bulk_misaligned,
                                 bulk_odd_size,
                                 bulk_not_waited_for,
                                 bulk_init_not_fenced,
                                 bulk_writes_not_fenced,
                                 mbarrier_not_seen,
                                 mbarrier_never_made,
                                 mbarrier_arrives_twice,
                                 mbarrier_phase_skipped,
                                 peer_arrivals_harmless,
                                 peer_arrival_unseen,
                                 peer_arrival_too_early,
                                 peer_arrival_not_begun,
                                 peer_arrival_of_nothing};
  return kKernels[int(fault) - int(Fault::harmless_cluster)];
}

}  // namespace

void run_faulty_sm_90(Fault fault, float* p, float* q, cudaStream_t stream) {
  launch("faulty", kernel_of(fault),
         {.grid = {2}, .block = {kThreads}, .cluster = 2, .stream = stream}, p, q);
}

}  // namespace birkhoff::testing
