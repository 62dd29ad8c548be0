// Ranks that make different calls: signatures reveal it, both are named, no hang, no data moves.
#include <gmock/gmock.h>

#include <functional>
#include <vector>

#include "tests/comm/ranks.h"

namespace birkhoff {
namespace {

using ::testing::AnyOf;
using testing::failure_in_time;
using ::testing::HasSubstr;

struct Buffers {
  std::vector<float> f = std::vector<float>(1200, 1);
  std::vector<int64_t> i = std::vector<int64_t>(400, 1);
  Elements floats(int64_t n) { return elements(std::span(f).first(size_t(n))); }
  ConstElements from(int64_t n) { return elements(std::span<const float>(f).last(size_t(n))); }
  Elements integers(int64_t n) { return elements(std::span(i).first(size_t(n))); }
};

using Step = std::function<void(Communicator&, Buffers&)>;

// Ranks 0 and 1 of three make the first call, rank 2 the second. One of the three finds out, and
// names the calls that rank 2 and another are in.
void expect_found(const Step& most, const std::string& first, const Step& odd,
                  const std::string& second) {
  for (int round = 0; round < 5; ++round) {
    const std::string what = failure_in_time(3, [&](Communicator& ranks) {
      Buffers buffers;
      testing::Jitter jitter(ranks.rank() + 10 * round);
      for (int k = 0; k < 11; ++k) ranks.barrier();
      jitter();
      (ranks.rank() == 2 ? odd : most)(ranks, buffers);
      for (const float x : buffers.f) EXPECT_EQ(x, 1);
      for (const int64_t x : buffers.i) EXPECT_EQ(x, 1);
      ranks.barrier();  // for a call that has sent everything without hearing from the others
    });
    const std::string two = "rank 2 is in " + second, to_two = "rank 2 in " + second;
    const auto both = [&](int r) {
      return AnyOf(
          HasSubstr(fmt::format("9: ranks are in different calls: rank 2 is in {}, rank {} in {}",
                                second, r, first)),
          HasSubstr(fmt::format("9: ranks are in different calls: rank {} is in {}, rank 2 in {}",
                                r, first, second)));
    };
    EXPECT_THAT(what, AnyOf(both(0), both(1)));
  }
}

const Step kBarrier = [](Communicator& c, Buffers&) { c.barrier(); };
const Step kReduce = [](Communicator& c, Buffers& b) {
  c.all_reduce(b.floats(100), Reduction::sum);
};
constexpr const char* kReduceText = "all_reduce of 100 f32 (its 12th call in group 0)";

TEST(CommunicatorMismatch, OperationsDiffer) {
  expect_found(kReduce, kReduceText, kBarrier, "barrier (its 12th call in group 0)");
  expect_found(
      kReduce, kReduceText, [](Communicator& c, Buffers& b) { c.broadcast(b.integers(4), 0); },
      "broadcast of 4 i64 from rank 0 (its 12th call in group 0)");
  expect_found([](Communicator& c, Buffers& b) { c.all_gather(b.from(100), b.floats(300)); },
               "all_gather of 100 f32 (its 12th call in group 0)",
               [](Communicator& c, Buffers& b) {
                 c.reduce_scatter(b.from(300), b.floats(100), Reduction::sum);
               },
               "reduce_scatter of 100 f32 (its 12th call in group 0)");
}

TEST(CommunicatorMismatch, CountsDiffer) {
  expect_found(
      kReduce, kReduceText,
      [](Communicator& c, Buffers& b) { c.all_reduce(b.floats(101), Reduction::sum); },
      "all_reduce of 101 f32 (its 12th call in group 0)");
  expect_found(
      kReduce, kReduceText,
      [](Communicator& c, Buffers& b) { c.all_reduce(b.floats(0), Reduction::sum); },
      "all_reduce of 0 f32 (its 12th call in group 0)");
}

TEST(CommunicatorMismatch, DtypesReductionsAndRootsDiffer) {
  expect_found(
      kReduce, kReduceText,
      [](Communicator& c, Buffers& b) { c.all_reduce(b.integers(100), Reduction::sum); },
      "all_reduce of 100 i64 (its 12th call in group 0)");
  expect_found(
      kReduce, kReduceText,
      [](Communicator& c, Buffers& b) { c.all_reduce(b.floats(100), Reduction::max); },
      "all_reduce (max) of 100 f32 (its 12th call in group 0)");
  for (const int root : {0, 1})
    expect_found([&](Communicator& c, Buffers& b) { c.broadcast(b.floats(9), root); },
                 fmt::format("broadcast of 9 f32 from rank {} (its 12th call in group 0)", root),
                 [](Communicator& c, Buffers& b) { c.broadcast(b.floats(9), 2); },
                 "broadcast of 9 f32 from rank 2 (its 12th call in group 0)");
}

TEST(CommunicatorMismatch, ASkippedCallIsFoundAtTheNext) {
  expect_found(
      [](Communicator& c, Buffers& b) {
        c.barrier();
        kReduce(c, b);
      },
      "barrier (its 12th call in group 0)", kReduce, kReduceText);
}

TEST(CommunicatorMismatch, MessagesDiffer) {
  const auto run = [](const Step& zero, const Step& one) {
    return failure_in_time(2, [&](Communicator& ranks) {
      Buffers buffers;
      (ranks.rank() == 0 ? zero : one)(ranks, buffers);
      ranks.barrier();
    });
  };
  const Step send = [](Communicator& c, Buffers& b) { c.send(b.from(5), 1); };
  EXPECT_EQ(run(send, [](Communicator& c, Buffers& b) { c.receive(b.floats(4), 0); }),
            "9: ranks are in different calls: rank 0 is in send of 5 f32 to rank 1 (its 1st "
            "message to that rank in group 0), rank 1 in receive of 4 f32 from rank 0 (its 1st "
            "message from that rank in group 0)");
  EXPECT_THAT(run(send, [](Communicator& c, Buffers& b) { c.receive(b.integers(5), 0); }),
              HasSubstr("rank 1 in receive of 5 i64 from rank 0"));
  // A message where a collective is expected, and vice versa.
  EXPECT_THAT(run(send, kBarrier), HasSubstr("rank 1 in barrier (its 1st call in group 0)"));
  EXPECT_THAT(run(kReduce, [](Communicator& c, Buffers& b) { c.receive(b.floats(100), 0); }),
              HasSubstr("rank 0 is in all_reduce of 100 f32 (its 1st call in group 0), rank 1 in "
                        "receive of 100 f32 from rank 0 (its 1st"));
}

TEST(CommunicatorMismatch, CountsOfAPairInAllToAllDiffer) {
  const std::string what = failure_in_time(3, [](Communicator& ranks) {
    Buffers b;
    std::vector<int64_t> send = {1, 2, 3}, receive(3, ranks.rank() + 1);
    if (ranks.rank() == 2) ++receive[1];
    const int64_t expected = receive[0] + receive[1] + receive[2];
    ranks.all_to_all(b.from(6), send, b.floats(expected), receive);
    ranks.barrier();
  });
  EXPECT_EQ(
      what,
      "9: ranks are in different calls: rank 1 is in all_to_all of 3 f32 to rank 2 (its 1st call "
      "in group 0), rank 2 in all_to_all of 4 f32 from rank 1 (its 1st call in group 0)");
}

TEST(CommunicatorMismatch, ArgumentsThatCannotBeRightAreRefusedAtOnce) {
  const auto run = [](const Step& step) {
    return failure_in_time(3, [&](Communicator& ranks) {
      Buffers buffers;
      step(ranks, buffers);
    });
  };
  EXPECT_THAT(run([](auto& c, auto& b) { c.all_gather(b.from(3), b.floats(8)); }),
              HasSubstr("[all_gather] 3 elements per rank do not make 8 in a group of 3"));
  EXPECT_THAT(run([](auto& c, auto& b) { c.broadcast(b.floats(3), 3); }),
              HasSubstr("[broadcast] peer rank 3 in a group of 3"));
  EXPECT_THAT(run([](auto& c, auto& b) { c.send(b.from(3), c.rank()); }),
              HasSubstr("[send] peer rank"));
  EXPECT_THAT(run([](auto& c, auto& b) { c.receive(b.floats(3), -1); }),
              HasSubstr("peer rank -1 in"));
  EXPECT_THAT(run([](auto& c, auto&) { c.all_reduce({}, Reduction::sum); }),
              HasSubstr("has no dtype"));
  EXPECT_THAT(run([](auto& c, auto&) {
                c.all_reduce({nullptr, 3, DType::f32}, Reduction::sum);
              }),
              HasSubstr("has no address"));
  const int64_t two[] = {1, 1}, huge[] = {INT64_MAX, INT64_MAX, 8}, minus[] = {-1, 2, 5};
  const int64_t six[] = {1, 2, 3};
  EXPECT_THAT(run([&](auto& c, auto& b) { c.all_to_all(b.from(2), two, b.floats(2), two); }),
              HasSubstr("2 counts for a group of 3"));
  EXPECT_THAT(run([&](auto& c, auto& b) { c.all_to_all(b.from(6), huge, b.floats(6), six); }),
              HasSubstr("a count of 9223372036854775807 in a buffer of 6"));
  EXPECT_THAT(run([&](auto& c, auto& b) { c.all_to_all(b.from(6), minus, b.floats(6), six); }),
              HasSubstr("a count of -1"));
  EXPECT_THAT(run([&](auto& c, auto& b) { c.all_to_all(b.from(7), six, b.floats(6), six); }),
              HasSubstr("the counts sum to 6, but the buffer has 7"));
}

}  // namespace
}  // namespace birkhoff
