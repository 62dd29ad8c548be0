#include "comm/collectives.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "comm/call.h"

namespace birkhoff {
namespace {

// A reduction's scratch is two chunks per peer: at most 16 MiB for up to 128 ranks. Sending 1 MiB
// takes far longer than starting a message, and so does sending 64 KiB.
int64_t chunk_for(int ranks) {
  const int64_t chunk = (int64_t(8) << 20) / ranks / 4096 * 4096;
  return std::clamp<int64_t>(chunk, 64 << 10, 1 << 20);
}

// Layout of the row of numbers that each rank sends in group().
constexpr int64_t kNextGroup = 0, kListed = 1, kList = 2;

}  // namespace

Collectives::Collectives(std::shared_ptr<Transport> transport, int64_t chunk_bytes)
    : rank_(transport->rank()), ranks_(size_t(transport->size())) {
  std::iota(ranks_.begin(), ranks_.end(), 0);
  chunk_bytes_ = chunk_bytes > 0 ? chunk_bytes : chunk_for(size());
  check(chunk_bytes_ % 8 == 0, "collectives: the chunk size of {} bytes is not a multiple of 8",
        chunk_bytes_);
  sent_.resize(ranks_.size()), received_.resize(ranks_.size());
  progress_ = std::make_shared<Progress>(std::move(transport));
}

Collectives::Collectives(const Collectives& parent, int id, std::span<const int> ranks)
    : progress_(parent.progress_), id_(id), chunk_bytes_(parent.chunk_bytes_) {
  for (const int r : ranks) {
    if (r == parent.rank_) rank_ = size();
    ranks_.push_back(parent.ranks_[size_t(r)]);
  }
  sent_.resize(ranks_.size()), received_.resize(ranks_.size());
}

int64_t& Collectives::sequence_of(const CommCall& call) {
  if (call.operation == Collective::send) return sent_[size_t(call.peer)];
  if (call.operation == Collective::receive) return received_[size_t(call.peer)];
  return calls_;
}

Pending Collectives::start(const CommCall& call) {
  check_call(call, rank_, size());
  progress_->check_failure();
  copy_own(call, rank_, size());
  return Pending(&progress_->start(call, {.group = id_,
                                          .rank = rank_,
                                          .ranks = ranks_,
                                          .sequence = ++sequence_of(call),
                                          .chunk_bytes = chunk_bytes_}));
}

// Runs on all ranks over the same lists, so that either all throw or none.
void Collectives::check_lists(std::span<const int64_t> lists) const {
  const int64_t row = kList + size();
  const auto list = [&](int64_t rank) {
    return lists.subspan(size_t(rank * row + kList), size_t(lists[size_t(rank * row + kListed)]));
  };
  for (int r = 0; r < size(); ++r) {
    const auto own = list(r);
    check(own.empty() || std::find(own.begin(), own.end(), r) != own.end(),
          "[group] rank {} is not in its own list", r);
    for (size_t i = 0; i < own.size(); ++i) {
      check(own[i] >= 0 && own[i] < size() && (i == 0 || own[i] > own[i - 1]),
            "[group] rank {} lists rank {} at position {}: ranks must ascend and be below {}", r,
            own[i], i, size());
      check(std::ranges::equal(own, list(own[i])),
            "[group] rank {} lists rank {}, which gives a different list", r, own[i]);
    }
  }
}

std::unique_ptr<Communicator> Collectives::group(std::span<const int> ranks) {
  check(int64_t(ranks.size()) <= size(), "[group] {} of {} ranks", ranks.size(), size());
  const size_t row = size_t(kList) + ranks_.size();
  std::vector<int64_t> own(row, -1), lists(row * ranks_.size());
  own[kNextGroup] = progress_->next_group;
  own[kListed] = int64_t(ranks.size());
  std::copy(ranks.begin(), ranks.end(), own.begin() + kList);
  all_gather(elements(std::span<const int64_t>(own)), elements(std::span(lists)));
  check_lists(lists);
  // Takes a number that is new to all ranks, which may have been in different numbers of groups.
  // Groups made by one call share the number, since they have no rank in common.
  int64_t id = 0;
  for (int r = 0; r < size(); ++r) id = std::max(id, lists[size_t(r) * row + kNextGroup]);
  check(id < Channel::kGroups, "[group] more than {} groups", Channel::kGroups);
  progress_->next_group = int(id) + 1;
  if (ranks.empty()) return nullptr;
  return std::unique_ptr<Communicator>(new Collectives(*this, int(id), ranks));
}

void Collectives::abort(const std::string& line) noexcept {
  progress_->transport().raise_everywhere(line);
}

}  // namespace birkhoff
