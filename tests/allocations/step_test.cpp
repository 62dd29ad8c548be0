// Nothing is allocated in a step, but for the first: counted, of all threads.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "base/buffer.h"
#include "comm/local/one_rank.h"
#include "tests/allocations/counted.h"
#include "tests/engine/train/small_session.h"

namespace birkhoff::testing {
namespace {

template <class F>
int64_t allocations_of(F f) {
  const int64_t before = allocations();
  f();
  return allocations() - before;
}

// The compiler may leave out memory that nobody could see.
void show(const void* at) { asm volatile("" : : "g"(at) : "memory"); }

TEST(Allocations, AreCounted) {
  EXPECT_EQ(allocations_of([] {}), 0);
  EXPECT_EQ(allocations_of([] { show(std::make_unique<int>(1).get()); }), 1);
  EXPECT_EQ(allocations_of([] { show(std::vector<char>(1 << 20).data()); }), 1);
  EXPECT_EQ(allocations_of([] { show(Buffer(1 << 20).data()); }), 1);
  struct alignas(64) Line {
    char bytes[64];
  };
  EXPECT_EQ(allocations_of([] { show(std::make_unique<Line>().get()); }), 1);
  int64_t by_thread = 0;
  ThreadTeam team(2);
  team.run(2, [&](int64_t, int) { show(std::make_unique<int>(1).get()); });
  by_thread = allocations_of(
      [&] { team.run(2, [&](int64_t, int) { show(std::make_unique<int>(1).get()); }); });
  EXPECT_EQ(by_thread, 2);
}

// Several groups, telemetry, an expert buffer that needs further rounds, an observer that is told.
TEST(Allocations, NoneInAStep) {
  struct Count final : CallObserver {
    void made(const CallMade& call) override { rounds += call.round > 0; }
    int64_t rounds = 0;
  };
  for (const ResidualKind residual : {ResidualKind::plain, ResidualKind::hc, ResidualKind::mhc})
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      Config c = session_config(residual);
      c.train.precision = precision;
      c.train.global_batch = 4 * c.train.micro_batch, c.train.reduction_groups = 2;
      c.train.telemetry_every = 2, c.train.recompute = 2;
      c.moe.buffer_factor = 0.3, c.parallel.ep = 2;
      ThreadTeam team(2);
      OneRank ranks;
      Session session(c, team, ranks, {.poison = false});
      session.initialise();
      Count count;
      session.executor().observe(count);
      std::vector<Batch> batches;
      for (int64_t m = 0; m < session.own_micro_batches().size(); ++m)
        batches.push_back(text_batch(c, m));
      for (int64_t t = 1; t <= 6; ++t) {
        const int64_t allocated = allocations_of([&] { session.step(t, batches); });
        EXPECT_TRUE(t == 1 || allocated == 0) << allocated << " in step " << t << ", residual "
                                              << int(residual) << ", precision " << int(precision);
      }
      EXPECT_GT(count.rounds, 0);
    }
}

}  // namespace
}  // namespace birkhoff::testing
