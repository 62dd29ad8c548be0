#pragma once
// Inside the planner: what needs a place in the activation arena, and when.
#include <vector>

#include "engine/plan/turns.h"

namespace birkhoff {

struct Life {
  int born, dies;  // issues, counted through all parts
  size_t part;
  std::vector<int> users;  // calls by their place in the part's walk; the first one makes it
};

struct Item {
  size_t bytes = 0;  // exact; places are aligned
  size_t offset = 0;
  std::vector<Life> lives;
  Item* in = nullptr;  // lives on in that item's memory: an accumulation in place
};

// By part; without any, one stream does everything.
using CallOrders = std::vector<CallOrder>;
// Are all users of a life over when that call begins?
bool over(const Life& life, int call, const CallOrders& orders);

// Gives every item without `in` its offset; returns the arena's size. Best fit, largest first. What
// follows in the same memory within a run of a part follows all users of what was there.
// Near-linear in the number of items; calls `alive` once per item.
size_t place_items(const std::vector<Item*>& items, const CallOrders& orders,
                   const Heartbeat& alive);
size_t most_alive(const std::vector<Item*>& items);

}  // namespace birkhoff
