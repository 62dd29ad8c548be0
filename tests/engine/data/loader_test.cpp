#include "engine/data/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.target, b.target);
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.first_key, b.first_key);
  EXPECT_EQ(a.windows, b.windows);
  EXPECT_EQ(a.valid, b.valid);
}

// Steps of 5 samples in micro-batches of 2: 2 + 2 + 1, the last with a row of padding.
TEST(BatchOrder, StepsAreCutIntoMicroBatches) {
  const auto samples = random_samples("test", 100, {.sequence = 3, .vocab = 9});
  const BatchOrder order{.global_batch = 5, .micro_batch = 2, .end = 3};
  EXPECT_EQ(BatchOrder::micro_batches(5, 2), 3);
  std::vector<int64_t> windows;
  Batch batch;
  for (int64_t number = 0; number < 6; ++number) {
    order.read(*samples, number, batch);
    windows.insert(windows.end(), batch.windows.begin(), batch.windows.end());
    EXPECT_EQ(batch.valid, number % 3 == 2 ? 3 : 6);
  }
  EXPECT_EQ(windows, (std::vector<int64_t>{0, 1, 2, 3, 4, -1, 5, 6, 7, 8, 9, -1}));
}

// Whatever the depth, the first batch and the relative speed: the batches are those of direct
// calls.
TEST(Loader, GivesTheBatchesOfDirectCalls) {
  const Scratch dir;
  write_counting(dir / "d", {300, 40, 161});
  const auto dataset = std::make_shared<const TokenDataset>(dir / "d");
  const auto samples = training_samples(dataset, split_documents(*dataset, 0, 1).train,
                                        {.sequence = 10, .vocab = 1000, .cross_documents = false});
  const BatchOrder order{.global_batch = 7, .micro_batch = 3, .end = 3};
  for (const int depth : {1, 2, 3, 8}) {
    for (const int64_t first : {0, 1, 29}) {
      Loader loader([&](int64_t n, Batch& batch) { order.read(*samples, n, batch); }, first, depth);
      for (int64_t number = first; number < first + 60; ++number) {
        Batch direct;
        order.read(*samples, number, direct);
        if (number % 16 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        expect_equal(loader.next(), direct);
      }
    }
  }
}

TEST(Loader, KeepsTheBatchInHandWhileOthersAreMade) {
  std::atomic<int64_t> made = 0;
  Loader loader(
      [&](int64_t n, Batch& batch) {
        batch.valid = n;
        ++made;
      },
      0, 2);
  const Batch& held = loader.next();
  while (made < 3) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(made, 3);  // the one in hand and two ahead, no more
  EXPECT_EQ(held.valid, 0);
  EXPECT_EQ(loader.next().valid, 1);
}

TEST(Loader, RethrowsWhereItHappened) {
  Loader loader(
      [](int64_t n, Batch& batch) {
        if (n == 13) throw DataError("batch 13");
        batch.valid = n;
      },
      10, 5);
  for (const int64_t n : {10, 11, 12}) EXPECT_EQ(loader.next().valid, n);
  for (int again = 0; again < 2; ++again) EXPECT_EQ(data_error([&] { loader.next(); }), "batch 13");
}

TEST(Loader, StopsAtAnyTime) {
  for (int taken = 0; taken < 30; ++taken) {
    Loader loader([](int64_t, Batch&) {}, 0, 1 + taken % 3);
    for (int i = 0; i < taken; ++i) loader.next();
  }
  Loader failed([](int64_t, Batch&) { throw DataError("never"); }, 0, 1);
}

}  // namespace
}  // namespace birkhoff::testing
