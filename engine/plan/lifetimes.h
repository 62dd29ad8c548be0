#pragma once
// Internal to the planner: what needs memory in the activation arena, and when.
#include <vector>

#include "engine/plan/turns.h"

namespace birkhoff {

struct Life {
  int born, dies;  // times: issued calls, counted through all parts
  size_t part;
  std::vector<int> users;  // calls by index in the part's walk; the first one makes the value
};

struct Item {
  size_t bytes = 0;  // exact; offsets are aligned
  size_t offset = 0;
  std::vector<Life> lives;
  Item* in = nullptr;  // accumulates in place: shares that item's memory
};

// By part; empty: one device stream runs everything.
using CallOrders = std::vector<CallOrder>;
// Whether all users of a life have ended when that call begins.
bool over(const Life& life, int call, const CallOrders& orders);

// Gives every item without `in` its offset; returns the arena's size. Best fit, largest first.
// Within a run of a part, what takes over memory is ordered after all users of what was there.
// Near-linear in the number of items; calls `alive` once per item.
size_t place_items(const std::vector<Item*>& items, const CallOrders& orders,
                   const Heartbeat& alive);
size_t most_alive(const std::vector<Item*>& items);

}  // namespace birkhoff
