#include "comm/call.h"

#include <cstring>
#include <limits>

#include "base/error.h"

namespace birkhoff {
namespace {

// Byte sizes are taken in int64; a count beyond this is a bug in the caller.
constexpr int64_t kMostElements = std::numeric_limits<int64_t>::max() / 16;

template <class E>
void check_buffer(const char* operation, const E& x) {
  check(x.count >= 0 && x.count <= kMostElements, "[{}] {} elements", operation, x.count);
  check(x.dtype != DType::none, "[{}] a buffer has no dtype", operation);
  check(x.count == 0 || x.data != nullptr, "[{}] a buffer of {} {} has no address", operation,
        x.count, name_of(x.dtype));
}

void check_same_dtype(const char* operation, const CommCall& call) {
  check(call.in.dtype == call.out.dtype, "[{}] from {} to {}: the dtypes differ", operation,
        name_of(call.in.dtype), name_of(call.out.dtype));
}

void check_counts(std::span<const int64_t> counts, int64_t total, int size) {
  check(int(counts.size()) == size, "[all_to_all] {} counts for a group of {}", counts.size(),
        size);
  int64_t sum = 0;
  for (const int64_t n : counts) {
    check(n >= 0 && n <= total - sum, "[all_to_all] a count of {} in a buffer of {}", n, total);
    sum += n;
  }
  check(sum == total, "[all_to_all] the counts sum to {}, but the buffer has {} elements", sum,
        total);
}

int64_t before(std::span<const int64_t> counts, int rank) {
  int64_t sum = 0;
  for (int r = 0; r < rank; ++r) sum += counts[size_t(r)];
  return sum;
}

void copy(const CommCall& call, int64_t from, int64_t to, int64_t count) {
  const size_t width = size_of(call.out.dtype);
  if (count > 0)
    std::memcpy(static_cast<std::byte*>(call.out.data) + size_t(to) * width,
                static_cast<const std::byte*>(call.in.data) + size_t(from) * width,
                size_t(count) * width);
}

}  // namespace

const char* name_of(Collective operation) {
  constexpr const char* kNames[] = {"barrier",        "broadcast",  "all_reduce", "all_gather",
                                    "reduce_scatter", "all_to_all", "send",       "receive"};
  return kNames[size_t(operation)];
}

void check_call(const CommCall& call, int rank, int size) {
  const char* name = name_of(call.operation);
  const auto has_in = [&] { check_buffer(name, call.in); };
  const auto has_out = [&] { check_buffer(name, call.out); };
  const auto has_peer = [&](bool other) {
    check(call.peer >= 0 && call.peer < size && !(other && call.peer == rank),
          "[{}] peer rank {} in a group of {}, called by rank {}", name, call.peer, size, rank);
  };
  const auto has_slices = [&](const auto& part, const auto& whole) {
    has_in(), has_out(), check_same_dtype(name, call);
    check(part.count <= kMostElements / size && whole.count == part.count * size,
          "[{}] {} elements per rank do not make {} in a group of {}", name, part.count,
          whole.count, size);
  };
  switch (call.operation) {
    case Collective::barrier:
      return;
    case Collective::broadcast:
      return has_out(), has_peer(false);
    case Collective::all_reduce:
      return has_out();
    case Collective::all_gather:
      return has_slices(call.in, call.out);
    case Collective::reduce_scatter:
      return has_slices(call.out, call.in);
    case Collective::all_to_all:
      has_in(), has_out(), check_same_dtype(name, call);
      check_counts(call.send_counts, call.in.count, size);
      return check_counts(call.receive_counts, call.out.count, size);
    case Collective::send:
      return has_in(), has_peer(true);
    case Collective::receive:
      return has_out(), has_peer(true);
  }
}

void copy_own(const CommCall& call, int rank, int size) {
  if (call.operation == Collective::all_gather)
    copy(call, 0, rank * call.in.count, call.in.count);
  else if (call.operation == Collective::reduce_scatter && size == 1)
    copy(call, 0, 0, call.in.count);
  else if (call.operation == Collective::all_to_all) {
    const int64_t sent = call.send_counts[size_t(rank)];
    const int64_t received = call.receive_counts[size_t(rank)];
    check(sent == received, "[all_to_all] rank {} sends {} elements to itself, but expects {}",
          rank, sent, received);
    copy(call, before(call.send_counts, rank), before(call.receive_counts, rank), sent);
  }
}

DType dtype_of(const CommCall& call) {
  return call.out.dtype != DType::none ? call.out.dtype : call.in.dtype;
}

int64_t count_of(const CommCall& call) {
  switch (call.operation) {
    case Collective::all_gather:
    case Collective::send:
      return call.in.count;
    default:
      return call.out.count;
  }
}

}  // namespace birkhoff
