// What a recompute segment keeps. Other tests compare bits, and a value that is kept for nothing
// changes none.
#include <gtest/gtest.h>

#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

// Forward slots (roots) that the backward lists read: what must stay in memory between them.
Slots saved(const Program& p) {
  Slots made, found;
  for (const Call& call : p.forward)
    for (const SlotId id : call.out) made.insert(id);
  for (const List* list : {&p.input_gradient, &p.weight_gradient})
    for (const SlotId id : surface(*list).reads)
      if (made.count(id)) found.insert(p.root(id));
  return found;
}

// The backward reads at most one value of a segment: the state that it hands to the next one.
TEST(Recompute, KeepsOneValueOfASegment) {
  for (const ResidualKind residual : {ResidualKind::hc, ResidualKind::mhc})
    for (const int64_t block : {1, 2, 3}) {
      Config c = small_config();
      c.model.residual = residual, c.train.recompute = block;
      Program p;
      differentiate(p, trace_training(p, c).loss);
      const Slots kept = saved(p);
      std::map<int, int> by_segment;
      for (const Call& call : p.forward)
        for (const SlotId id : call.out)
          if (call.segment != kNone) by_segment[call.segment] += int(kept.count(id));
      EXPECT_EQ(int64_t(by_segment.size()), (2 * c.model.layers + block - 1) / block);
      for (const auto& [segment, count] : by_segment)
        EXPECT_LE(count, 1) << segment << " " << block;
    }
}

}  // namespace
}  // namespace birkhoff::testing
