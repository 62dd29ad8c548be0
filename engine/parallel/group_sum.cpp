#include "engine/parallel/group_sum.h"

#include <algorithm>
#include <cstring>

namespace birkhoff {
namespace {

constexpr std::array kDTypes = {DType::f32, DType::f64, DType::i32, DType::i64};
constexpr int64_t kGrain = 1 << 15;  // elements: two operands of a task fit in 256 KiB of cache

size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t total(const std::vector<GroupSum::Tensor>& tensors, DType dtype) {
  int64_t n = 0;
  for (const auto& t : tensors) n += t.dtype == dtype ? t.count : 0;
  return n;
}

template <class F>  // calls f with a null pointer to the element type
void with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(static_cast<float*>(nullptr));
    case DType::f64:
      return f(static_cast<double*>(nullptr));
    case DType::i32:
      return f(static_cast<uint32_t*>(nullptr));  // unsigned: wraps, though these counters never do
    case DType::i64:
      return f(static_cast<uint64_t*>(nullptr));
    default:
      throw InternalError(fmt::format("group sum: dtype {} is not supported", name_of(dtype)));
  }
}

}  // namespace

GroupSum::Sizes GroupSum::sizes_of(const std::vector<Tensor>& tensors, int64_t groups, int rank,
                                   int ranks) {
  Sizes s;
  for (const Tensor& t : tensors) s.copy += rounded(size_t(t.count) * size_of(t.dtype));
  s.copies = size_t(nodes_of(groups, part_of(groups, ranks, rank)).most);
  if (ranks == 1) return s;
  size_t own = 0, all = 0;
  for (int r = 0; r < ranks; ++r) {
    const size_t n = nodes_of(groups, part_of(groups, ranks, r)).nodes.size();
    all += n;
    if (r == rank) own = n;
  }
  for (const DType dtype : kDTypes) {
    const size_t size = size_of(dtype);
    const Bucket largest{dtype, 0, std::min(total(tensors, dtype), int64_t(kBucketBytes / size))};
    const size_t slice = size_t(largest.slice(ranks)) * size;
    s.send = std::max(s.send, slice * size_t(ranks) * own);
    s.receive = std::max(s.receive, slice * all);
  }
  return s;
}

size_t GroupSum::bytes(const std::vector<Tensor>& tensors, int64_t groups, int rank, int ranks) {
  const Sizes s = sizes_of(tensors, groups, rank, ranks);
  return s.copies * s.copy + s.send + s.receive;
}

GroupSum::GroupSum(std::vector<Tensor> tensors, int64_t groups, Communicator& ranks,
                   ThreadTeam& team)
    : tensors_(std::move(tensors)),
      groups_(groups),
      ranks_(ranks),
      team_(team),
      own_(part_of(groups, ranks.size(), ranks.rank())),
      next_(own_.begin),
      stack_(groups) {
  check(groups > 0 && groups % ranks.size() == 0,
        "group sum: {} groups cannot be shared by {} ranks", groups, ranks.size());
  for (int r = 0; r < ranks.size(); ++r)
    nodes_.push_back(nodes_of(groups, part_of(groups, ranks.size(), r)).nodes);
  size_t at = 0;
  for (const Tensor& t : tensors_) {
    with_type(t.dtype, [](auto*) {});  // throws for a dtype it cannot add
    offsets_.push_back(at);
    at += rounded(size_t(t.count) * size_of(t.dtype));
  }
  const Sizes s = sizes_of(tensors_, groups, ranks.rank(), ranks.size());
  for (size_t i = 0; i < s.copies; ++i) copies_.emplace_back(s.copy);
  if (s.send) send_ = Buffer(s.send), receive_ = Buffer(s.receive);
}

void GroupSum::add(std::byte* to, const std::byte* left, DType dtype, int64_t count) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    auto* sum = reinterpret_cast<T*>(to);
    const auto* other = reinterpret_cast<const T*>(left);
    team_.ranges(count, kGrain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sum[i] = other[i] + sum[i];
    });
  });
}

void GroupSum::close_group() {
  check(next_ < own_.end, "group sum: group {} is outside groups {} to {}", next_, own_.begin,
        own_.end);
  const int place = stack_.push({0, next_++}, [&](int k) {
    for (size_t t = 0; t < tensors_.size(); ++t)
      add(tensors_[t].data, copies_[size_t(k)].data() + offsets_[t], tensors_[t].dtype,
          tensors_[t].count);
  });
  if (next_ == own_.end) return;
  for (size_t t = 0; t < tensors_.size(); ++t)
    std::memcpy(copies_[size_t(place)].data() + offsets_[t], tensors_[t].data,
                size_t(tensors_[t].count) * size_of(tensors_[t].dtype));
}

void GroupSum::finish() {
  check(next_ == own_.end, "group sum: only {} of {} groups are closed", next_ - own_.begin,
        own_.size());
  if (ranks_.size() > 1)
    for (const DType dtype : kDTypes) {
      const int64_t n = total(tensors_, dtype), most = int64_t(kBucketBytes / size_of(dtype));
      for (int64_t at = 0; at < n; at += most) exchange({dtype, at, std::min(most, n - at)});
    }
  next_ = own_.begin;
  stack_.clear();
}

template <class Visit>
void GroupSum::walk(const Bucket& b, Visit visit) const {
  int64_t first = 0;  // index of the tensor's first element among all of its dtype
  for (size_t t = 0; t < tensors_.size(); ++t) {
    if (tensors_[t].dtype != b.dtype) continue;
    const int64_t from = std::max(first, b.begin);
    const int64_t to = std::min(first + tensors_[t].count, b.begin + b.count);
    if (from < to) visit(t, from - first, from - b.begin, to - from);
    first += tensors_[t].count;
  }
}

const std::byte* GroupSum::node_data(size_t node, size_t tensor) const {
  if (node + 1 == stack_.held().size()) return tensors_[tensor].data;
  return copies_[node].data() + offsets_[tensor];
}

// Packs, for each rank, its slice of each of our nodes.
void GroupSum::pack(const Bucket& b) {
  const int64_t slice = b.slice(ranks_.size());
  const size_t size = size_of(b.dtype), nodes = stack_.held().size();
  for (size_t node = 0; node < nodes; ++node)
    walk(b, [&](size_t t, int64_t element, int64_t place, int64_t count) {
      const std::byte* from = node_data(node, t) + size_t(element) * size;
      for (int64_t end = place + count; place < end;) {
        const int64_t rank = place / slice, within = place % slice;
        const int64_t n = std::min(end - place, slice - within);
        const size_t to = (size_t(rank) * nodes + node) * size_t(slice) + size_t(within);
        std::memcpy(send_.data() + to * size, from, size_t(n) * size);
        from += size_t(n) * size, place += n;
      }
    });
}

std::byte* GroupSum::combine(const Bucket& b) {
  const int64_t slice = b.slice(ranks_.size());
  std::byte* at = receive_.data();
  std::vector<std::byte*> sums;
  TreeStack stack(groups_);
  for (const auto& nodes : nodes_)
    for (const TreeNode node : nodes) {
      stack.push(node, [&](int k) {
        add(at, sums[size_t(k)], b.dtype, slice);
        sums.pop_back();
      });
      sums.push_back(at);
      at += size_t(slice) * size_of(b.dtype);
    }
  check(sums.size() == 1, "group sum: {} partial sums remain instead of one", sums.size());
  return sums[0];
}

void GroupSum::exchange(const Bucket& b) {
  const int ranks = ranks_.size();
  const int64_t slice = b.slice(ranks), own = int64_t(stack_.held().size());
  const size_t size = size_of(b.dtype);
  pack(b);
  std::vector<int64_t> out(size_t(ranks), slice * own), in;
  for (const auto& nodes : nodes_) in.push_back(slice * int64_t(nodes.size()));
  int64_t received = 0;
  for (const int64_t n : in) received += n;
  ranks_.all_to_all({send_.data(), slice * own * ranks, b.dtype}, out,
                    {receive_.data(), received, b.dtype}, in);
  ranks_.all_gather({combine(b), slice, b.dtype}, {send_.data(), slice * ranks, b.dtype});
  walk(b, [&](size_t t, int64_t element, int64_t place, int64_t count) {
    std::memcpy(tensors_[t].data + size_t(element) * size, send_.data() + size_t(place) * size,
                size_t(count) * size);
  });
}

}  // namespace birkhoff
