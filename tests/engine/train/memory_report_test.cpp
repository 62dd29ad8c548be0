#include "engine/train/memory_report.h"

#include <gtest/gtest.h>

#include "engine/train/programs.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

int64_t calls(const List& list) {
  int64_t n = int64_t(list.size());
  for (const Call& call : list) n += calls(call.body);
  return n;
}

// A watchdog sees planning progress: it is notified of every call that is traced, visited and
// placed, so that no silence grows with the number of layers.
TEST(MemoryReport, PlanningBeatsForEveryCall) {
  Config c = small_config();
  c.model.residual = ResidualKind::mhc, c.train.recompute = 2;
  for (const int64_t layers : {3, 12}) {
    c.model.layers = layers;
    int64_t beats = 0, traced = 0;
    const SessionPrograms programs(c, [&] { ++traced; });
    int64_t made = 0;
    for (const Program* p : {&programs.train, &programs.score})
      for (const List* list : {&p->forward, &p->input_gradient, &p->weight_gradient, &p->update})
        made += calls(*list);
    EXPECT_GE(traced, made * 9 / 10);  // rounds nodes are made without append
    plan_run(c, 1, 1, 0, [&] { ++beats; });
    EXPECT_GE(beats, 2 * traced);
  }
}

}  // namespace
}  // namespace birkhoff::testing
