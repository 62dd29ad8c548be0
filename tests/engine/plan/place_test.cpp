// The placing of activations against the definition, checked pair by pair: the same offsets as a
// best fit that compares every pair of items, and no two items share a byte while both are needed.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/format.h"
#include "base/rng.h"
#include "engine/plan/lifetimes.h"
#include "engine/plan/occupancy.h"

namespace birkhoff::testing {
namespace {

size_t aligned(size_t bytes) {
  return (bytes + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
}

// The oracle, by the definition: may y take over the memory of x?
bool makes_way(const Life& x, const Life& y, const CallOrders& orders) {
  return x.dies < y.born && (x.part != y.part || over(x, y.users.front(), orders));
}

bool conflict(const Item& a, const Item& b, const CallOrders& orders) {
  for (const Life& x : a.lives)
    for (const Life& y : b.lives)
      if (!makes_way(x, y, orders) && !makes_way(y, x, orders)) return true;
  return false;
}

// Best fit, largest first, comparing each item with all that were placed before it.
std::vector<size_t> best_fit(const std::vector<Item>& items, const CallOrders& orders) {
  std::vector<size_t> order(items.size()), offsets(items.size()), placed;
  for (size_t i = 0; i < items.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return items[a].bytes > items[b].bytes; });
  for (const size_t i : order) {
    std::vector<std::pair<size_t, size_t>> taken;  // begin, end
    for (const size_t other : placed)
      if (conflict(items[i], items[other], orders))
        taken.emplace_back(offsets[other], offsets[other] + aligned(items[other].bytes));
    std::sort(taken.begin(), taken.end());
    size_t end = 0, best = SIZE_MAX, offset = SIZE_MAX;
    for (const auto& [from, to] : taken) {
      if (from >= end + aligned(items[i].bytes) && from - end < best)
        best = from - end, offset = end;
      end = std::max(end, to);
    }
    offsets[i] = offset == SIZE_MAX ? end : offset;
    placed.push_back(i);
  }
  return offsets;
}

// The random numbers of a case, in order.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed, "place_test") {}
  int64_t below(int64_t n) { return int64_t(random_.below(next_++, uint64_t(n))); }

 private:
  Random random_;
  uint64_t next_ = 0;
};

// Parts with calls of one or more issues; with several device streams each call also knows by
// vector clocks which calls of its own part are over.
struct Case {
  std::vector<std::vector<int>> began;  // by part: when each call begins, and the end
  CallOrders orders;                    // empty: one device stream
  std::vector<Item> items;

  Case(uint64_t seed, int streams) {
    Draw draw(seed);
    const int64_t parts = 1 + draw.below(3);
    int time = 0;
    for (int64_t part = 0; part < parts; ++part) {
      began.emplace_back();
      const int64_t calls = 2 + draw.below(40);
      for (int64_t call = 0; call < calls; ++call) {
        began.back().push_back(time);
        time += draw.below(6) ? 1 : int(1 + draw.below(5));  // a rounds node has several issues
      }
      began.back().push_back(time);
      if (streams > 1) orders.push_back(order(draw, streams));
    }
    const int64_t count = 1 + draw.below(60);
    for (int64_t i = 0; i < count; ++i) items.push_back(item(draw));
  }

  CallOrder order(Draw& draw, int streams) const {
    CallOrder o;
    std::array<Counts, kStreams> known = {};
    for (size_t call = 0; call + 1 < began.back().size(); ++call) {
      const auto stream = size_t(draw.below(streams));
      if (call && draw.below(3) == 0) {  // waits for an earlier call
        const Counts& other = o.knows[size_t(draw.below(int64_t(call)))];
        for (size_t s = 0; s < kStreams; ++s)
          known[stream][s] = std::max(known[stream][s], other[s]);
      }
      o.stream.push_back(Stream(stream));
      o.number.push_back(++known[stream][stream]);
      o.knows.push_back(known[stream]);
    }
    o.began = began.back();
    return o;
  }

  Item item(Draw& draw) const {
    static constexpr size_t kSizes[] = {1, 64, 100, 192, 640, 4096};  // many are equal
    Item item;
    item.bytes = kSizes[draw.below(6)] * size_t(1 + draw.below(3));
    for (int64_t part = 0; part < int64_t(began.size()); ++part)
      if (part == 0 || draw.below(4) == 0) item.lives.push_back(life(draw, size_t(part)));
    return item;
  }

  Life life(Draw& draw, size_t part) const {
    const auto calls = int64_t(began[part].size()) - 1;
    const int64_t first = draw.below(calls);
    const int64_t length = draw.below(3) ? draw.below(4) : draw.below(calls);
    Life l{.born = began[part][size_t(first)], .dies = 0, .part = part, .users = {int(first)}};
    for (int64_t call = first + 1; call <= std::min(first + length, calls - 1); ++call)
      if (draw.below(2)) l.users.push_back(int(call));
    // Some die within their last call, as a value inside a round does.
    const auto last = size_t(l.users.back());
    l.dies = began[part][last] + int(draw.below(began[part][last + 1] - began[part][last]));
    l.dies = std::max(l.dies, l.born);
    return l;
  }
};

void compare(uint64_t seed, int streams) {
  Case c(seed, streams);
  const std::vector<size_t> expected = best_fit(c.items, c.orders);
  std::vector<Item*> pointers;
  for (Item& item : c.items) pointers.push_back(&item);
  int beats = 0;
  const size_t size = place_items(pointers, c.orders, [&] { ++beats; });
  EXPECT_EQ(beats, int(c.items.size()));
  size_t end = 0;
  for (size_t i = 0; i < c.items.size(); ++i) {
    ASSERT_EQ(c.items[i].offset, expected[i])
        << fmt::format("seed {}, {} streams, item {} of {}", seed, streams, i, c.items.size());
    end = std::max(end, c.items[i].offset + c.items[i].bytes);
  }
  EXPECT_EQ(size, end);
}

TEST(Place, IsTheBestFitOfOneStream) {
  for (uint64_t seed = 0; seed < 400; ++seed) ASSERT_NO_FATAL_FAILURE(compare(seed, 1));
}

TEST(Place, IsTheBestFitOfSeveralStreams) {
  for (uint64_t seed = 0; seed < 400; ++seed)
    for (const int streams : {2, kStreams}) ASSERT_NO_FATAL_FAILURE(compare(seed, streams));
}

// The work for a step whose values live from forward to backward, as the number of ranges looked
// at. Four times the layers have four times the items, each among four times as many that are
// alive.
size_t ranges_looked_at(int layers) {
  Occupancy occupancy(2 * layers);
  size_t looked_at = 0, offset = 0;
  std::vector<Range> taken;
  for (int layer = 0; layer < layers; ++layer)
    for (const size_t bytes : {4096, 192}) {
      taken.clear();
      occupancy.collect(layer, 2 * layers - 1 - layer, taken);
      looked_at += taken.size();
      occupancy.add(layer, 2 * layers - 1 - layer, {offset, offset + bytes});
      offset += bytes;
    }
  return looked_at;
}

TEST(Place, WorkIsNearLinearInTheNumberOfLayers) {
  EXPECT_LT(ranges_looked_at(4096), 6 * ranges_looked_at(1024));
}

// Ranges against one flag per byte.
TEST(Place, RangesAreASetOfBytes) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Draw draw(seed);
    Ranges ranges;
    std::vector<bool> bytes(100);
    for (int i = 0; i < 12; ++i) {
      const auto begin = size_t(draw.below(99)), end = begin + 1 + size_t(draw.below(6));
      ranges.add({begin, std::min(end, bytes.size())});
      std::fill(bytes.begin() + long(begin), bytes.begin() + long(std::min(end, bytes.size())),
                true);
      std::vector<bool> found(100);
      size_t last = 0;
      for (const Range& r : ranges.all()) {
        EXPECT_TRUE(r.begin > last || &r == &ranges.all().front()) << "ranges touch";
        std::fill(found.begin() + long(r.begin), found.begin() + long(r.end), true);
        last = r.end;
      }
      ASSERT_EQ(found, bytes);
    }
  }
}

}  // namespace
}  // namespace birkhoff::testing
