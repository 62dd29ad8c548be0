#pragma once
// Inside the planner: what needs a place in the activation arena, and when.
#include <vector>

#include "engine/plan/plan.h"

namespace birkhoff {

struct Life {
  int born, dies;  // issues, counted through all parts
};

struct Item {
  size_t bytes = 0;  // exact; places are aligned
  size_t offset = 0;
  std::vector<Life> lives;
  Item* in = nullptr;  // lives on in that item's memory: an accumulation in place
};

// Gives every item without `in` its offset; returns the arena's size. Best fit, largest first.
size_t place_items(const std::vector<Item*>& items);
size_t most_alive(const std::vector<Item*>& items);

}  // namespace birkhoff
