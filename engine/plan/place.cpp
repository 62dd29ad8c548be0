#include <algorithm>
#include <map>
#include <optional>

#include "engine/plan/lifetimes.h"
#include "engine/plan/occupancy.h"

namespace birkhoff {
namespace {

size_t aligned(size_t bytes) {
  return (bytes + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
}

// A life as the placer sees it: when its memory is taken, and until when, for each device stream
// that might take it over. A device stream may do so from its first call that is ordered after all
// users of the life; without orders (one device stream) every call after the last user is.
struct Span {
  Stream stream = Stream::compute;  // of the call that makes the value
  int born = 0;
  std::array<int, kStreams> dies = {};
};

// Computes the span of each life.
class Spans {
 public:
  explicit Spans(const CallOrders& orders) : calls_(orders.size()), orders_(orders) {
    for (size_t part = 0; part < orders.size(); ++part)
      for (size_t call = 0; call < orders[part].stream.size(); ++call)
        calls_[part][size_t(orders[part].stream[call])].push_back(int(call));
  }

  // Device streams that have calls.
  std::vector<size_t> streams() const {
    std::vector<size_t> used;
    for (size_t s = 0; s < kStreams; ++s)
      if (std::any_of(calls_.begin(), calls_.end(), [&](const auto& c) { return !c[s].empty(); }))
        used.push_back(s);
    return used.empty() ? std::vector{size_t(Stream::compute)} : used;
  }

  Span of(const Life& life) const {
    Span span{.born = life.born};
    span.dies.fill(life.dies);
    if (orders_.empty()) return span;
    const CallOrder& order = orders_[life.part];
    span.stream = order.stream[size_t(life.users.front())];
    Counts last = {};  // number of the life's last user, by device stream
    for (const int user : life.users) {
      int& number = last[size_t(order.stream[size_t(user)])];
      number = std::max(number, order.number[size_t(user)]);
    }
    for (size_t s = 0; s < kStreams; ++s)
      span.dies[s] = std::max(life.dies, first_after(life.part, s, last) - 1);
    return span;
  }

 private:
  // The time when the device stream's first call begins that knows those turns to be over, else
  // when the part ends. What a device stream knows only grows from call to call, hence the binary
  // search.
  int first_after(size_t part, size_t stream, const Counts& turns) const {
    const CallOrder& order = orders_[part];
    const std::vector<int>& calls = calls_[part][stream];
    const auto call = std::partition_point(calls.begin(), calls.end(), [&](int c) {
      const Counts& knows = order.knows[size_t(c)];
      for (size_t s = 0; s < kStreams; ++s)
        if (knows[s] < turns[s]) return true;
      return false;
    });
    return order.began[call == calls.end() ? order.stream.size() : size_t(*call)];
  }

  std::vector<std::array<std::vector<int>, kStreams>> calls_;  // by part and device stream
  const CallOrders& orders_;
};

// The taken bytes, by the device stream that takes them and the stream that asks: for how long a
// life is in the way depends on both.
class TakenBytes {
 public:
  TakenBytes(int times, const std::vector<size_t>& streams) : streams_(streams) {
    for (const size_t taking : streams)
      for (const size_t asking : streams) taken_[taking][asking].emplace(times);
  }

  void add(const Span& span, Range bytes) {
    for (const size_t asking : streams_)
      taken_[size_t(span.stream)][asking]->add(span.born, span.dies[asking], bytes);
  }

  void collect(const Span& span, std::vector<Range>& taken) const {
    for (const size_t s : streams_)
      taken_[s][size_t(span.stream)]->collect(span.born, span.dies[s], taken);
  }

 private:
  std::vector<size_t> streams_;  // those in use
  std::array<std::array<std::optional<Occupancy>, kStreams>, kStreams> taken_;
};

// The offset of the smallest gap between taken ranges that holds `bytes`, the first of equal ones;
// else the end of all ranges. Sorts `taken`.
size_t best_fit(std::vector<Range>& taken, size_t bytes) {
  std::sort(taken.begin(), taken.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  size_t end = 0, best = SIZE_MAX, offset = SIZE_MAX;
  for (const Range& range : taken) {
    if (range.begin >= end + bytes && range.begin - end < best)
      best = range.begin - end, offset = end;
    end = std::max(end, range.end);
  }
  return offset == SIZE_MAX ? end : offset;
}

}  // namespace

bool over(const Life& life, int call, const CallOrders& orders) {
  return orders.empty() || std::all_of(life.users.begin(), life.users.end(), [&](int user) {
           return orders[life.part].behind(call, user);
         });
}

size_t place_items(const std::vector<Item*>& items, const CallOrders& orders,
                   const Heartbeat& alive) {
  std::vector<Item*> order;
  int times = 0;
  for (Item* i : items) {
    if (!i->in) order.push_back(i);
    for (const Life& l : i->lives) times = std::max(times, l.dies + 1);
  }
  for (const CallOrder& o : orders) times = std::max(times, o.began.back());
  std::stable_sort(order.begin(), order.end(),
                   [](const Item* a, const Item* b) { return a->bytes > b->bytes; });
  const Spans spans(orders);
  TakenBytes bytes_taken(times, spans.streams());
  size_t size = 0;
  std::vector<Range> taken;
  for (Item* i : order) {
    taken.clear();
    for (const Life& l : i->lives) bytes_taken.collect(spans.of(l), taken);
    const size_t bytes = aligned(i->bytes);
    i->offset = best_fit(taken, bytes);
    size = std::max(size, i->offset + i->bytes);
    for (const Life& l : i->lives) bytes_taken.add(spans.of(l), {i->offset, i->offset + bytes});
    if (alive) alive();
  }
  return size;
}

size_t most_alive(const std::vector<Item*>& items) {
  std::map<int, int64_t> change;
  for (const Item* i : items)
    if (!i->in)
      for (const Life& l : i->lives)
        change[l.born] += int64_t(i->bytes), change[l.dies + 1] -= int64_t(i->bytes);
  int64_t alive = 0, most = 0;
  for (const auto& [time, delta] : change) most = std::max(most, alive += delta);
  return size_t(most);
}

}  // namespace birkhoff
