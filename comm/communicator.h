#pragma once
// What ranks say to each other. A body per transport; today comm/local's one rank alone.
//
//   all_reduce       x = Σ_r x_r (or the largest), in rank order: the same bits on every rank
//   all_gather       out = x_0 | x_1 | … | x_{n−1}
//   reduce_scatter   out = slice `rank` of Σ_r x_r
//   all_to_all       send_counts[r] elements go to rank r, receive_counts[r] come from it
//   broadcast, send, receive, barrier
//
// Every rank of the group makes the same calls in the same order. Counts are in elements and equal
// on all ranks unless said otherwise; input and output do not overlap. Calls block until the
// caller's buffers may be used again. InternalError on counts or dtypes that do not fit; PeerError
// (exit code 6) when another rank is gone. One thread a rank calls at a time.
#include <cstdint>
#include <span>

#include "base/dtype.h"

namespace birkhoff {

enum class Reduction { sum, max };

struct Elements {
  void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::none;
};
struct ConstElements {
  const void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::none;
};

template <class T>
Elements elements(std::span<T> values) {
  return {values.data(), int64_t(values.size()), DTypeOf<T>::value};
}

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  virtual void barrier() = 0;
  virtual void broadcast(Elements x, int root) = 0;
  virtual void all_reduce(Elements x, Reduction reduction) = 0;
  virtual void all_gather(ConstElements x, Elements out) = 0;
  virtual void reduce_scatter(ConstElements x, Elements out, Reduction reduction) = 0;
  virtual void all_to_all(ConstElements x, std::span<const int64_t> send_counts, Elements out,
                          std::span<const int64_t> receive_counts) = 0;
  virtual void send(ConstElements x, int to) = 0;
  virtual void receive(Elements x, int from) = 0;
};

}  // namespace birkhoff
