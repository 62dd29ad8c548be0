// Runs stream plans of random programs on the emulated device, with the streams and events of
// base/cuda. Each turn (one entry of the plan) is a kernel that accesses the turn's bytes. The
// device runs streams in any legal order, and its checker has a vector clock for each: memory that
// is reused before its wait is a race.
#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"
#include "base/error.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/planned/touch.h"
#include "tests/cuda/support/session.h"
#include "tests/engine/plan/order_check.h"
#include "tests/engine/plan/random_program.h"

namespace birkhoff::testing {
namespace {

using Memory = std::vector<uint32_t>;

struct Planned {
  explicit Planned(uint64_t seed)
      : programs(seed),
        of(random_streams(seed, 2 + int(seed % 3))),
        // Lifetimes end at events in odd seeds; in even ones calls wait for memory.
        plan(seed % 2 ? plan_memory(programs.schedule, of) : plan_memory(programs.schedule)),
        streams(plan_streams(programs.schedule, plan, of)) {}
  RandomPrograms programs;
  StreamOf of;
  Plan plan;
  StreamPlan streams;

  // Size of an arena in words; the last one stands for the communicator.
  size_t words(int arena) const {
    return arena == kArenas ? 1 : plan.bytes(birkhoff::Arena(arena)) / sizeof(uint32_t);
  }
};

// The words that a turn accesses, given where each arena begins.
Touch touch_of(const Plan& plan, const Turn& turn, uint32_t number,
               const std::array<uint32_t*, kArenas + 1>& arenas) {
  Touch touch{.number = number};
  for (const Touched& t : touched(plan, turn)) {
    const bool whole = t.arena != kArenas;
    const size_t begin = whole ? t.begin / sizeof(uint32_t) : 0,
                 end = whole ? t.end / sizeof(uint32_t) : 1;
    int& count = t.written ? touch.writes : touch.reads;
    check(count < Touch::kMost, "a turn that touches more than {} slots", Touch::kMost);
    (t.written ? touch.written : touch.read)[count++] = {arenas[size_t(t.arena)] + begin,
                                                         int(end - begin)};
  }
  return touch;
}

// Does the same as the kernel.
void on_host(const Touch& touch) {
  uint32_t sum = 0;
  for (int r = 0; r < touch.reads; ++r)
    for (int i = 0; i < touch.read[r].count; ++i) sum += touch.read[r].at[i];
  for (int w = 0; w < touch.writes; ++w)
    for (int i = 0; i < touch.written[w].count; ++i)
      touch.written[w].at[i] = 31 * sum + touch.number + uint32_t(i);
}

const History kTwoSteps = {0, 0, 1, 2, 0, 1};

std::vector<Memory> in_issue_order(const Planned& p) {
  std::vector<Memory> memory;
  std::array<uint32_t*, kArenas + 1> arenas;
  for (int a = 0; a <= kArenas; ++a) memory.emplace_back(p.words(a), 0u);
  for (int a = 0; a <= kArenas; ++a) arenas[size_t(a)] = memory[size_t(a)].data();
  uint32_t number = 0;
  for (const size_t part : kTwoSteps)
    for (const Turn& turn : p.streams.parts[part])
      on_host(touch_of(p.plan, turn, ++number, arenas));
  return memory;
}

// Walks the list as engine/plan/streams.h says an executor does, except that the host does not wait
// for the number of rounds: it is not needed here, and would order more than the plan does.
std::vector<Memory> on_device(const Planned& p, const StreamPlan& plan) {
  using namespace cuda;
  const Gpu gpu;
  std::deque<cuda::Stream> streams;
  for (int s = 0; s < kStreams; ++s) streams.emplace_back(gpu, StreamKind::compute);
  std::deque<Event> events;
  for (int e = 0; e < plan.events; ++e) events.emplace_back(gpu);
  std::deque<cuda::Arena> memory;
  std::array<uint32_t*, kArenas + 1> arenas;
  for (int a = 0; a <= kArenas; ++a) {
    const size_t bytes = std::max<size_t>(p.words(a), 1) * sizeof(uint32_t);
    arenas[size_t(a)] = memory.emplace_back(gpu, bytes, "arena").at(0, bytes).as<uint32_t>();
    gpu.check(cudaMemset(arenas[size_t(a)], 0, bytes), "cudaMemset");
  }
  gpu.check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  uint32_t number = 0;
  for (const size_t part : kTwoSteps)
    for (const Turn& turn : plan.parts[part]) {
      const cuda::Stream& stream = streams[size_t(turn.stream)];
      for (const Wait& w : turn.waits)
        if (events[size_t(w.event)].recorded()) stream.wait(events[size_t(w.event)]);
      run_touch(touch_of(p.plan, turn, ++number, arenas), stream);
      if (turn.record != kNone) events[size_t(turn.record)].record(stream);
    }
  for (const cuda::Stream& stream : streams) stream.synchronise();
  std::vector<Memory> left;
  for (int a = 0; a <= kArenas; ++a) {
    left.emplace_back(p.words(a));
    gpu.check(cudaMemcpy(left.back().data(), arenas[size_t(a)],
                         left.back().size() * sizeof(uint32_t), cudaMemcpyDeviceToHost),
              "cudaMemcpy");
  }
  return left;
}

TEST(PlannedStreams, AnyLegalOrderOfADeviceIsTheIssueOrder) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const Planned p(seed);
    const std::vector<Memory> want = in_issue_order(p);
    in_every_schedule([&] { EXPECT_TRUE(on_device(p, p.streams) == want); });
  }
}

// If any one wait is removed, the device's checker must find two unordered accesses to a byte, in
// every schedule.
TEST(PlannedStreams, WithoutAWaitThereIsARace) {
  size_t planted = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const Planned p(seed);
    for (size_t part = 0; part < p.streams.parts.size(); ++part)
      for (size_t t = 0; t < p.streams.parts[part].size(); ++t)
        for (size_t w = 0; w < p.streams.parts[part][t].waits.size(); ++w) {
          StreamPlan less = p.streams;
          auto& waits = less.parts[part][t].waits;
          waits.erase(waits.begin() + long(w));
          // Some waits matter only in sequences of parts that do not run here.
          if (OrderCheck(p.plan, less, kTwoSteps).fault(less).empty()) continue;
          const auto& schedules = emulator::schedules();
          emulator::reset(schedules[++planted % schedules.size()]);
          EXPECT_THROW(on_device(p, less), Error) << seed << " " << part << " " << t << " " << w;
          EXPECT_NE(emulator::fault().find("unordered"), std::string::npos) << emulator::fault();
          emulator::reset({});
        }
  }
  EXPECT_GE(planted, 100u);
}

}  // namespace
}  // namespace birkhoff::testing
