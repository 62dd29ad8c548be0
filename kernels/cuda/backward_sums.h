#pragma once
// The second kernel of pass (b), which adds up the first one's blocks, and the launch of both
// (backward_coefficients.h explains M).
#include "kernels/cuda/backward_coefficients.h"

namespace birkhoff::cuda {

struct ColumnTotals {
  double parts[kSumParts][2 * MhcRow(8).columns];
};

// Makes dalpha and db from the blocks' sums. Runs as one block of [2·K, kSumParts] threads.
template <class M>
__global__ void __launch_bounds__(kMaxThreads)
    total_sums(typename M::Args a, MhcOpenBackwardCut cut) {
  auto& s = shared<ColumnTotals>();
  const unsigned columns = block_dim().x / 2, k = thread_index().x, part = thread_index().y;
  const unsigned each = (cut.blocks + kSumParts - 1) / kSumParts;
  double sum = 0;
  for (unsigned i = part * each; i < (part + 1) * each && i < cut.blocks; ++i)
    sum += double(load(a.workspace + cut.sums + int64_t{i} * block_dim().x + k));
  s.parts[part][k] = sum;
  sync_block();
  if (part != 0) return;
  const auto total = [&](unsigned column) {
    double all = 0;
    for (const auto& of : s.parts) all += of[column];
    return all;
  };
  const auto put = [&](const float* base, float* out, unsigned i, double value) {
    store(out + i, float(base ? double(load(base + i)) + value : value));
  };
  if (k >= columns) return put(a.db_base, a.db, k - columns, total(k));
  if (k >= M::kAlphas || !a.dalpha) return;
  const auto n = unsigned(a.n), first = k * n;  // pre, post and res start at columns 0, n and 2n
  double all = 0;
  for (unsigned c = first; c < (k < 2 ? first + n : columns); ++c) all += total(c);
  put(a.dalpha_base, a.dalpha, k, all);
}

template <class M>
void launch_total_sums(const char* name, const typename M::Args& a, const MhcOpenBackwardCut& cut,
                       cudaStream_t stream) {
  launch(name, total_sums<M>,
         {.grid = {1},
          .block = {2 * unsigned(MhcRow(a.n, M::kPerStream, M::kSublayer).columns), kSumParts},
          .stream = stream},
         a, cut);
}

template <class M>
void launch_coefficients_backward(const char* name, const typename M::Args& a,
                                  const MhcOpenBackwardCut& cut, cudaStream_t stream) {
  const auto run = [&]<int kN>(std::integral_constant<int, kN>) {
    const size_t trace = kMhcWarps * size_t(M::template trace_floats<kN>(a)) * sizeof(float);
    launch(name, coefficients_backward<M, kN>,
           {.grid = {cut.blocks},
            .block = {kCoefficientThreads},
            .shared_bytes = sizeof(CoefficientShared<M, kN>) + trace,
            .stream = stream},
           a, cut);
  };
  if (a.tokens > 0) with_streams(a.n, run);
  launch_total_sums<M>(name, a, cut, stream);
}

}  // namespace birkhoff::cuda
