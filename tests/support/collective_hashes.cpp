#include "tests/support/collective_hashes.h"

#include <cmath>
#include <cstring>

#include "base/format.h"
#include "base/hash.h"
#include "base/rng.h"

namespace birkhoff::testing {
namespace {

// The last count makes several chunks per slice, with a short one at the end.
constexpr int64_t kCounts[] = {0, 1, 31, 1009, 600'011};

// Random finite values of many magnitudes; integers use all bits.
std::vector<std::byte> random_bytes(DType dtype, int64_t count, const Random& random) {
  std::vector<std::byte> bytes(size_t(count) * size_of(dtype));
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t bits = random.bits(uint64_t(i));
      T value = {};
      const float x = std::ldexp(float(int32_t(bits)), -int(bits >> 60));
      if constexpr (std::is_same_v<T, bf16>)
        value = to_bf16(x);
      else if constexpr (std::is_integral_v<T>)
        value = T(bits);
      else
        value = T(x);
      std::memcpy(bytes.data() + size_t(i) * sizeof(T), &value, sizeof(T));
    }
  });
  return bytes;
}

class Hasher {
 public:
  Hasher(Communicator& ranks, DType dtype, int64_t count)
      : ranks_(ranks), dtype_(dtype), count_(count) {}

  std::vector<std::string> run() {
    reductions();
    moves();
    all_to_all();
    return std::move(lines_);
  }

 private:
  struct Buffer {
    std::vector<std::byte> bytes;
    DType dtype;
    int64_t count;
    operator ConstElements() const { return {bytes.data(), count, dtype}; }
    operator Elements() { return {bytes.data(), count, dtype}; }
  };
  Buffer input(int64_t count, const char* name) const {
    return {random_bytes(dtype_, count, Random(uint64_t(ranks_.rank()), name)), dtype_, count};
  }
  Buffer output(int64_t count) const {
    return {std::vector<std::byte>(size_t(count) * size_of(dtype_)), dtype_, count};
  }
  void line(const char* name, const Buffer& x) {
    lines_.push_back(
        fmt::format("{} {} {}: {}", name, name_of(dtype_), count_, hash128(std::span(x.bytes))));
  }

  void reductions() {
    for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
      Buffer x = input(count_, "all_reduce");
      ranks_.all_reduce(x, reduction);
      line("all_reduce", x);
      const Buffer all = input(count_ * ranks_.size(), "reduce_scatter");
      Buffer slice = output(count_);
      ranks_.reduce_scatter(all, slice, reduction);
      line("reduce_scatter", slice);
    }
  }

  void moves() {
    const int n = ranks_.size(), self = ranks_.rank();
    const Buffer own = input(count_, "all_gather");
    Buffer all = output(count_ * n), x = input(count_, "broadcast"), got = output(count_);
    ranks_.all_gather(own, all);
    line("all_gather", all);
    ranks_.broadcast(x, n - 1);
    line("broadcast", x);
    if (n == 1) return;
    Pending sent = ranks_.start_send(own, (self + 1) % n);
    Pending received = ranks_.start_receive(got, (self + n - 1) % n);
    ranks_.barrier();
    sent.wait(), received.wait();
    line("receive", got);
  }

  void all_to_all() {
    const auto counted = [&](int from, int to) { return (from + 3 * to + 1) % 3 * count_ / 2; };
    std::vector<int64_t> send_counts, receive_counts;
    int64_t sent = 0, received = 0;
    for (int r = 0; r < ranks_.size(); ++r) {
      send_counts.push_back(counted(ranks_.rank(), r));
      receive_counts.push_back(counted(r, ranks_.rank()));
      sent += send_counts.back(), received += receive_counts.back();
    }
    const Buffer x = input(sent, "all_to_all");
    Buffer got = output(received);
    ranks_.all_to_all(x, send_counts, got, receive_counts);
    line("all_to_all", got);
  }

  Communicator& ranks_;
  DType dtype_;
  int64_t count_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> collective_hashes(Communicator& ranks) {
  std::vector<std::string> lines;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64})
    for (const int64_t count : kCounts) {
      if (count > 10'000 && dtype != DType::f32) continue;
      for (std::string& line : Hasher(ranks, dtype, count).run()) lines.push_back(std::move(line));
    }
  return lines;
}

}  // namespace birkhoff::testing
