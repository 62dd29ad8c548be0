// A rank that fails while others wait: every wait ends, with the root cause's line.
#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "tests/comm/ranks.h"

namespace birkhoff {
namespace {

using testing::failure_in_time;
using ::testing::HasSubstr;
using testing::run_in_time;

void enter(Communicator& ranks, Collective operation) {
  const int n = ranks.size();
  std::vector<double> x(40, 1), whole(size_t(40 * n), 1);
  const std::vector<int64_t> counts(size_t(n), 40);
  const ConstElements from = elements(std::span<const double>(x));
  const ConstElements from_all = elements(std::span<const double>(whole));
  const Elements to = elements(std::span(x)), to_all = elements(std::span(whole));
  std::vector<double> other(whole.size());
  const Elements apart = elements(std::span(other));
  switch (operation) {
    case Collective::barrier:
      return ranks.barrier();
    case Collective::broadcast:
      return ranks.broadcast(to, 1);
    case Collective::all_reduce:
      return ranks.all_reduce(to, Reduction::sum);
    case Collective::all_gather:
      return ranks.all_gather(from, to_all);
    case Collective::reduce_scatter:
      return ranks.reduce_scatter(from_all, to, Reduction::sum);
    case Collective::all_to_all:
      return ranks.all_to_all(from_all, counts, apart, counts);
    case Collective::send:
      return ranks.send(from, 1);
    case Collective::receive:
      return ranks.receive(to, 1);
  }
}

class CommunicatorAbort : public ::testing::TestWithParam<Collective> {};

TEST_P(CommunicatorAbort, EndsTheWaitInEveryOperation) {
  std::vector<std::string> seen(4);
  const std::string what = failure_in_time(4, [&](Communicator& ranks) {
    ranks.barrier();
    if (ranks.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      throw DataError("tokens.bin: byte 7 is missing");
    }
    const auto try_again = [&] {
      try {
        enter(ranks, GetParam());
      } catch (const PeerError& e) {
        return std::string(e.what());
      }
      return std::string("no error");
    };
    const std::string first = try_again();
    EXPECT_EQ(try_again(), first);  // nothing works any more
    seen[size_t(ranks.rank())] = first;
  });
  EXPECT_EQ(what, "3: tokens.bin: byte 7 is missing");
  for (const int r : {0, 2, 3}) EXPECT_EQ(seen[size_t(r)], "rank 1: tokens.bin: byte 7 is missing");
}

INSTANTIATE_TEST_SUITE_P(Operations, CommunicatorAbort,
                         ::testing::Values(Collective::barrier, Collective::broadcast,
                                           Collective::all_reduce, Collective::all_gather,
                                           Collective::reduce_scatter, Collective::all_to_all,
                                           Collective::send, Collective::receive),
                         [](const auto& which) { return name_of(which.param); });

TEST(CommunicatorAbortOnce, ByCallTellsItsLine) {
  const std::string what = failure_in_time(3, [&](Communicator& ranks) {
    if (ranks.rank() == 2) {
      ranks.abort("rank 2 of host h: disk is full");
      ranks.abort("a second line");
      throw ResourceError("disk is full");
    }
    ranks.barrier();
  });
  EXPECT_EQ(what, "5: disk is full");
}

// The flag is raised as a watchdog would, from a thread that is no rank.
TEST(CommunicatorAbortOnce, ByTheFlagEndsAllWaitsWithItsCode) {
  const auto flag = std::make_shared<AbortFlag>();
  std::thread watchdog([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_TRUE(flag->raise(ExitCode::hang, "rank 1 is late"));
    EXPECT_FALSE(flag->raise(ExitCode::peer, "too late"));
  });
  const std::string what = failure_in_time(3,
                                           [&](Communicator& ranks) {
                                             if (ranks.rank() != 1) ranks.barrier();
                                             while (!flag->raised()) std::this_thread::yield();
                                           },
                                           {.abort = flag});
  watchdog.join();
  EXPECT_EQ(what, "7: rank 1 is late");
}

// While an exception unwinds, calls in flight are cancelled; the other ranks' data stays in place.
TEST(CommunicatorAbortOnce, AnExceptionPassesCallsUnderWay) {
  const std::string what = failure_in_time(3, [&](Communicator& ranks) {
    std::vector<double> x(5000, 1);
    Pending sum = ranks.start_all_reduce(elements(std::span(x)), Reduction::sum);
    if (ranks.rank() == 0) throw NumericError("the loss is not finite");
    sum.wait();
    ranks.barrier();
  });
  EXPECT_EQ(what, "8: the loss is not finite");
}

}  // namespace
}  // namespace birkhoff
