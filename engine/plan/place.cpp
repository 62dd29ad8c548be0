#include <algorithm>
#include <map>

#include "engine/plan/lifetimes.h"

namespace birkhoff {
namespace {

size_t aligned(size_t bytes) {
  return (bytes + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
}

// May y have the memory of x behind it? In another run there are waits for that.
bool makes_way(const Life& x, const Life& y, const CallOrders& orders) {
  return x.dies < y.born && (x.part != y.part || over(x, y.users.front(), orders));
}

bool overlap(const Item& a, const Item& b, const CallOrders& orders) {
  for (const Life& x : a.lives)
    for (const Life& y : b.lives)
      if (!makes_way(x, y, orders) && !makes_way(y, x, orders)) return true;
  return false;
}

// The smallest gap between `near` (by offset) that holds `bytes`, else behind them all.
size_t best_fit(const std::vector<Item*>& near, size_t bytes) {
  size_t end = 0, best = SIZE_MAX, offset = SIZE_MAX;
  for (const Item* other : near) {
    if (other->offset >= end + bytes && other->offset - end < best)
      best = other->offset - end, offset = end;
    end = std::max(end, other->offset + aligned(other->bytes));
  }
  return offset == SIZE_MAX ? end : offset;
}

}  // namespace

bool over(const Life& life, int call, const CallOrders& orders) {
  return orders.empty() || std::all_of(life.users.begin(), life.users.end(), [&](int user) {
           return orders[life.part].behind(call, user);
         });
}

size_t place_items(const std::vector<Item*>& items, const CallOrders& orders) {
  std::vector<Item*> order;
  for (Item* i : items)
    if (!i->in) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [](const Item* a, const Item* b) { return a->bytes > b->bytes; });
  size_t size = 0;
  std::vector<Item*> placed, near;
  for (Item* i : order) {
    near.clear();
    for (Item* other : placed)  // kept sorted by offset
      if (overlap(*i, *other, orders)) near.push_back(other);
    i->offset = best_fit(near, aligned(i->bytes));
    size = std::max(size, i->offset + i->bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), i,
                         [](const Item* a, const Item* b) { return a->offset < b->offset; }),
        i);
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
