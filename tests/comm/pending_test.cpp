// Several calls in flight, waited for in any order, and dropped.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "comm/beacon.h"
#include "tests/comm/ranks.h"

namespace birkhoff {
namespace {

using testing::failure_in_time;
using ::testing::HasSubstr;
using testing::Jitter;
using testing::run_in_time;

TEST(CommunicatorPending, AFinishedOneIsDone) {
  Pending none;
  EXPECT_TRUE(none.done());
  none.wait();
}

TEST(CommunicatorPending, ManyAreWaitedForInAnyOrder) {
  constexpr int kCalls = 24;
  constexpr int64_t kCount = 203;
  run_in_time(
      4,
      [](Communicator& ranks) {
        const int n = ranks.size(), self = ranks.rank();
        Jitter jitter(self);
        // Each rank waits in its own order.
        const Random random(uint64_t(self), "order");
        std::vector<size_t> order(kCalls);
        for (size_t k = 0; k < order.size(); ++k) order[k] = k;
        for (size_t k = order.size(); k > 1; --k)
          std::swap(order[k - 1], order[size_t(random.below(k, k))]);
        std::vector<std::vector<double>> in(kCalls), out(kCalls);
        std::vector<Pending> pending(kCalls);
        for (size_t k = 0; k < kCalls; ++k) {
          in[k].assign(kCount, double(k) + self);
          out[k] = in[k];
          const auto from = elements(std::span<const double>(in[k]));
          if (k % 3 == 0)
            pending[k] = ranks.start_all_reduce(elements(std::span(out[k])), Reduction::sum);
          if (k % 3 == 1) {
            out[k].resize(size_t(n) * kCount);
            pending[k] = ranks.start_all_gather(from, elements(std::span(out[k])));
          }
          if (k % 3 == 2)
            pending[k] = ranks.start_broadcast(elements(std::span(out[k])), int(k) % n);
          jitter();
        }
        for (const size_t k : order) {
          while (k % 2 && !pending[k].done()) jitter();
          pending[k].wait();
          const double first = out[k].front(), last = out[k].back(), at = double(k);
          const double wanted[] = {n * at + n * (n - 1) / 2.0, at, at + int(k) % n};
          EXPECT_EQ(first, wanted[k % 3]) << k;
          EXPECT_EQ(last, first + (k % 3 == 1 ? n - 1 : 0)) << k;
          EXPECT_EQ(std::ranges::count(out[k], first), k % 3 == 1 ? kCount : int64_t(out[k].size()))
              << k;
        }
      },
      {.chunk_bytes = 64});
}

// Both directions of every pair at once, more messages than chunks in flight.
TEST(CommunicatorPending, MessagesOfAPairKeepTheirOrder) {
  run_in_time(3, [](Communicator& ranks) {
    constexpr size_t kMessages = 40;
    const int n = ranks.size(), self = ranks.rank();
    std::vector<int64_t> sent(kMessages * size_t(n)), got(sent.size(), -1);
    std::vector<Pending> pending;
    Jitter jitter(self);
    for (size_t m = 0; m < kMessages; ++m)
      for (int r = 0; r < n; ++r) {
        if (r == self) continue;
        const size_t at = m * size_t(n) + size_t(r);
        sent[at] = int64_t(m) * 100 + self * 10 + r;
        pending.push_back(ranks.start_send(elements(std::span<const int64_t>(&sent[at], 1)), r));
        pending.push_back(ranks.start_receive(elements(std::span(&got[at], 1)), r));
        jitter();
      }
    for (auto p = pending.rbegin(); p != pending.rend(); ++p) p->wait();
    for (size_t m = 0; m < kMessages; ++m)
      for (int r = 0; r < n; ++r)
        EXPECT_EQ(got[m * size_t(n) + size_t(r)],
                  r == self ? -1 : int64_t(m) * 100 + r * 10 + self);
  });
}

// Goes far beyond the sequence numbers that channels distinguish.
TEST(CommunicatorPending, SequencesGoOn) {
  run_in_time(2, [](Communicator& ranks) {
    for (int k = 0; k < 1000; ++k) {
      std::vector<int32_t> x = {k, ranks.rank()};
      ranks.all_reduce(elements(std::span(x)), Reduction::sum);
      ASSERT_EQ(x, (std::vector<int32_t>{2 * k, 1}));
    }
  });
}

TEST(CommunicatorPending, TooManyUnderWayAreRefused) {
  const std::string what = failure_in_time(2, [](Communicator& ranks) {
    std::vector<int64_t> x(200);
    std::vector<Pending> pending;
    for (int64_t& v : x)
      pending.push_back(ranks.start_receive(elements(std::span(&v, 1)), 1 - ranks.rank()));
  });
  EXPECT_THAT(what, HasSubstr("9: [receive] 128 calls of group 0 are already in flight"));
}

// Both calls have many chunks: neither can end if a rank advances only the call it waits for.
TEST(CommunicatorPending, WaitingForOneMovesAll) {
  run_in_time(2,
              [](Communicator& ranks) {
                std::vector<float> a(5000, 1), b(5000, 2);
                Pending one = ranks.start_all_reduce(elements(std::span(a)), Reduction::sum);
                Pending two = ranks.start_all_reduce(elements(std::span(b)), Reduction::sum);
                (ranks.rank() ? one : two).wait();
                (ranks.rank() ? two : one).wait();
                EXPECT_EQ(a, std::vector<float>(5000, 2));
                EXPECT_EQ(b, std::vector<float>(5000, 4));
              },
              {.chunk_bytes = 64});
}

void wait_until(const std::atomic<bool>& flag) {
  while (!flag) std::this_thread::yield();
}

// Chunks of the second call arrive before the remaining ones of the first.
TEST(CommunicatorPending, ChunksOfTwoCallsDoNotMix) {
  std::atomic<bool> sent{false};
  run_in_time(2,
              [&](Communicator& ranks) {
                std::vector<float> a(1000), b(1000);
                if (ranks.rank() == 0) {
                  a.assign(1000, 1), b.assign(1000, 2);
                  Pending one = ranks.start_send(elements(std::span<const float>(a)), 1);
                  Pending two = ranks.start_send(elements(std::span<const float>(b)), 1);
                  sent = true;
                  one.wait(), two.wait();
                  return;
                }
                wait_until(sent);
                Pending one = ranks.start_receive(elements(std::span(a)), 0);
                for (int k = 0; k < 10; ++k) (void)one.done();  // receives what has arrived
                Pending two = ranks.start_receive(elements(std::span(b)), 0);
                two.wait(), one.wait();
                EXPECT_EQ(a, std::vector<float>(1000, 1));
                EXPECT_EQ(b, std::vector<float>(1000, 2));
              },
              {.chunk_bytes = 64});
}

// Dropped with chunks posted that rank 1 sends only later: the memory belongs to the caller again.
TEST(CommunicatorPending, ADroppedCallIsTheEndOfTheRank) {
  std::atomic<bool> sent{false}, dropped{false};
  std::string second;
  const std::string what = failure_in_time(
      2,
      [&](Communicator& ranks) {
        std::vector<float> x(1000, 1);
        if (ranks.rank() == 1) {
          Pending pending = ranks.start_send(elements(std::span<const float>(x)), 0);
          sent = true;
          wait_until(dropped);
          pending.wait();
        }
        wait_until(sent);
        {
          Pending pending = ranks.start_receive(elements(std::span(x)), 1);
          for (int k = 0; k < 10; ++k) EXPECT_FALSE(pending.done());
        }
        x.assign(1000, 5);
        dropped = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_EQ(x, std::vector<float>(1000, 5));
        try {
          ranks.barrier();
        } catch (const InternalError& e) {
          second = e.what();
        }
        ranks.barrier();
      },
      {.chunk_bytes = 64});
  EXPECT_EQ(what, "9: " + second);
  EXPECT_THAT(second, HasSubstr("[receive] was started but never waited for (call 1 in group 0)"));
}

TEST(CommunicatorPending, ABeaconSeesTheWaits) {
  run_in_time(2, [](Communicator& ranks) {
    Beacon beacon;
    ranks.watch(&beacon);
    std::vector<float> x(25);
    ranks.barrier();
    ranks.all_reduce(elements(std::span(x)), Reduction::sum);
    const Beacon::Snapshot seen = beacon.snapshot();
    EXPECT_EQ(seen.last.sequence, 2);
    EXPECT_STREQ(seen.last.operation, "all_reduce");
    EXPECT_EQ(seen.last.bytes, 100);
    EXPECT_FALSE(seen.waiting);
    ranks.watch(nullptr);
    ranks.barrier();
    EXPECT_EQ(beacon.snapshot().last.sequence, 2);
  });
}

}  // namespace
}  // namespace birkhoff
