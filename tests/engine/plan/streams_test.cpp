// Waits of programs of a few calls against known answers; waits of random programs against the
// definition (order_check.h), by running them in other orders, and by leaving each wait out.
#include "engine/plan/streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "engine/plan/listing.h"
#include "kernels/identity.h"
#include "tests/engine/plan/random_program.h"
#include "tests/engine/plan/stream_run.h"

namespace birkhoff::testing {
namespace {

const StreamOf kByOperator = stream_of;

Value output(Value v) {
  v.program->slots[size_t(v.id)].kind = Kind::output;
  return v;
}

// A schedule with both plans: memory first, with the waits that follow, or memory for device
// streams.
struct Planned {
  Planned(const Schedule& schedule, const StreamOf& of, bool by_events = true)
      : plan(by_events ? plan_memory(schedule, of) : plan_memory(schedule)),
        streams(plan_streams(schedule, plan, of)) {}
  explicit Planned(const Program& p, const StreamOf& of = kByOperator, bool by_events = true)
      : Planned({forward_part("forward", p)}, of, by_events) {}
  Plan plan;
  StreamPlan streams;

  // "2:compute(0 1') ": turn 2 waits for turn 0, and for turn 1 of the run before. One part.
  std::string text() const {
    std::string all;
    const auto& turns = streams.parts[0];
    for (size_t i = 0; i < turns.size(); ++i) {
      std::string waits;
      for (const Wait& w : turns[i].waits)
        waits +=
            fmt::format("{}{}{}", waits.empty() ? "" : " ", recorder(w, i), w.earlier ? "'" : "");
      all += fmt::format("{}:{}({}) ", i, name_of(turns[i].stream), waits);
    }
    return all;
  }
  size_t recorder(const Wait& w, size_t before) const {
    const auto& turns = streams.parts[0];
    for (size_t i = w.earlier ? turns.size() : before; i > 0; --i)
      if (turns[i - 1].record == w.event) return i - 1;
    ADD_FAILURE() << "event " << w.event << " is never recorded";
    return 0;
  }
};

// x → a; a is sent while b is computed from it.
struct Sending {
  Sending() {
    const Value x = p.add(Kind::input, "x", {{16}, DType::f32});
    const Value a = blend(16, x), sent = send(16, a), b = blend(16, a);
    output(blend(16, b, sent));
  }
  Program p;
};

TEST(Streams, WaitForWhatTheyReadAndForWhoReadIt) {
  const Sending s;
  // upload, a, send, b, sum, download. Nothing waits for the previous run: the upload follows its
  // download on the same device stream, which has waited for all of that run.
  EXPECT_EQ(Planned(s.p).text(),
            "0:staging() 1:compute(0) 2:communication(1) 3:compute() 4:compute(2) 5:staging(4) ");
}

// Without the copies: the next run must not overwrite what is being sent, nor read too early the
// state that the reduce changes.
TEST(Streams, WaitForTheRunBefore) {
  Program p;
  const Value x = p.add(Kind::state, "x", {{16}, DType::f32});
  const Value a = blend(16, x), b = blend(16, x);
  p.emit(kReduce, {a}, Sized{16}, {.accumulate = {x}});
  p.emit(kDecay, {b}, Sized{16}, {.accumulate = {p.add(Kind::state, "y", {{16}, DType::f32})}});
  // a, b, reduce, decay: a waits for the previous run's reduce, the last to read a's memory.
  EXPECT_EQ(Planned(p).text(), "0:compute(2') 1:compute() 2:communication(1) 3:compute() ");
}

TEST(Streams, Listing) {
  const Sending s;
  const Schedule schedule = {forward_part("forward", s.p)};
  const std::string text = listing(schedule, Planned(s.p).streams);
  const std::string path = BIRKHOFF_SOURCE_DIR "/tests/golden/streams.listing";
  if (std::getenv("BIRKHOFF_UPDATE_GOLDENS")) std::ofstream(path) << text;
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str());
}

TEST(Streams, OneStreamWaitsForNothing) {
  const Sending s;
  const auto one = [](const Turn&) { return Stream::compute; };
  const Planned planned(s.p, one);
  EXPECT_EQ(planned.streams.events, 0);
  for (const Turn& t : planned.streams.parts[0]) EXPECT_TRUE(t.waits.empty());
  EXPECT_EQ(planned.plan.bytes(Arena::activations),
            plan_memory({forward_part("forward", s.p)}).bytes(Arena::activations));
}

// a is dead when b is made, but still being sent: b gets other memory, or waits.
struct SendingWhatDies {
  SendingWhatDies() {
    const Value x = p.add(Kind::input, "x", {{16}, DType::f32});
    output(send(16, blend(16, x)));
    output(blend(16, blend(16, x)));
  }
  Program p;
};

TEST(Streams, MemoryIsTakenOverWhenAllStreamsAreDoneWithIt) {
  const SendingWhatDies s;
  // 0 upload, 1 a, 2 send, 3 b, 4 out, 5 and 6 downloads
  const Planned apart(s.p), shared(s.p, kByOperator, false);
  EXPECT_EQ(apart.plan.bytes(Arena::activations), 128u);
  EXPECT_EQ(shared.plan.bytes(Arena::activations), 64u);
  EXPECT_EQ(apart.text(),
            "0:staging() 1:compute(0) 2:communication(1) 3:compute() 4:compute() 5:staging(2) "
            "6:staging(4) ");
  EXPECT_EQ(shared.text(),
            "0:staging() 1:compute(0) 2:communication(1) 3:compute(2) 4:compute() 5:staging(2) "
            "6:staging(4) ");
}

TEST(Streams, ABaseThatIsBeingSentIsNotAddedToInPlace) {
  Program p;
  const Value x = p.add(Kind::input, "x", {{16}, DType::f32});
  const Value a = blend(16, x);
  output(send(16, a));
  output(blend(16, blend(16, x, {}, a)));
  EXPECT_EQ(Planned(p).plan.bytes(Arena::activations), 128u);
  EXPECT_EQ(Planned(p, kByOperator, false).plan.bytes(Arena::activations), 64u);
}

TEST(Streams, AViewWaitsForItsOwnBytes) {
  Program p;
  const Value x = p.add(Kind::state, "x", {{16}, DType::f32});
  const Value tail = p.emit(kTail, {x})[0];
  p.emit(kReduce, {blend(8, tail)}, Sized{16}, {.accumulate = {x}});
  output(blend(8, tail));
  const Planned planned(p);
  // 0 tail, 1 of tail, 2 reduce, 3 of tail again, 4 download
  EXPECT_EQ(planned.text(),
            "0:compute() 1:compute() 2:communication(1) 3:compute(4' 2) 4:staging(3) ");
}

// A rounds node follows its count; it is one turn on one device stream, whatever the number of
// rounds.
TEST(Streams, ARoundsNodeIsOneTurnBehindItsCount) {
  Program p;
  const Value x = p.add(Kind::state, "x", {{16}, DType::f32});
  const Value n = p.add(Kind::state, "n", {{1}, DType::i32});
  output(blend(8, p.rounds([&]() -> Program::Round {
    const Value count = p.emit(kIdentity, {n})[0];
    return {blend(8, send(16, x)), count};
  })));
  // 0 count made, 1 send, 2 round 0, 3 count copied, 4 node, which sends too, 5 out, 6 download
  EXPECT_EQ(Planned(p).text(),
            "0:compute() 1:communication(4') 2:compute(1) 3:staging(0) 4:compute(3) "
            "5:compute() 6:staging(5) ");
}

// An event number is recorded again once its last wait has been issued; only a turn that the next
// run waits for has a number of its own.
TEST(Streams, EventsAreFew) {
  Program p;
  Value v = p.add(Kind::state, "x", {{16}, DType::f32});
  for (int i = 0; i < 20; ++i) v = blend(16, send(16, v));
  output(v);
  const Planned planned(p);
  size_t waits = 0;
  for (const Turn& t : planned.streams.parts[0]) waits += t.waits.size();
  EXPECT_GE(waits, 40u);
  EXPECT_LE(planned.streams.events, 5);
  EXPECT_EQ(fault(planned.plan, planned.streams, histories(1, 3)), "");
}

TEST(Streams, EachStreamHasAWorkspace) {
  static const Implementation kGreedyCpu[] = {
      {.name = "cpu", .workspace = [](Specs in, const Desc&) -> Workspace {
         return {in[0].bytes(), 7};
       }}};
  static const Operator kGreedy{
      .name = "greedy",
      .outputs = [](Specs in, const Desc&) -> Outputs { return {{.spec = in[0]}}; },
      .flops = [](Specs, const Desc&) { return 0.0; },
      .implementations = {kGreedyCpu},
      .communicates = true};
  Program p;
  const Value x = p.add(Kind::input, "x", {{16}, DType::f32});
  output(blend(8, p.emit(kGreedy, {x})[0]));
  const auto workspace = Planned(p).streams.workspace;
  EXPECT_EQ(workspace[size_t(Stream::communication)].shared, 64u);
  EXPECT_EQ(workspace[size_t(Stream::communication)].per_thread, 7u);
  EXPECT_EQ(workspace[size_t(Stream::compute)].shared, 0u);
}

// Faults planted in a plan: the check that the rest relies on finds each.
TEST(OrderCheck, FindsMemoryThatIsTakenOverTooEarly) {
  const SendingWhatDies s;
  const Planned apart(s.p), shared(s.p, kByOperator, false);
  EXPECT_THAT(fault(shared.plan, apart.streams, {{0}}), ::testing::HasSubstr("not ordered"));
  EXPECT_THAT(reuse_fault(shared.plan, shared.streams, 0), ::testing::HasSubstr("share memory"));
}

TEST(OrderCheck, FindsAnEventThatIsRecordedAgainTooEarly) {
  Program p;
  const Value x = p.add(Kind::state, "x", {{16}, DType::f32});
  const Value a = send(16, x), b = blend(16, x);
  output(blend(16, blend(16, x, a), b));
  const StreamOf of = [&](const Turn& t) {
    return t.call && t.call->out[0] == b.id ? Stream::urgent : stream_of(t);
  };
  Planned planned(p, of);
  ASSERT_EQ(fault(planned.plan, planned.streams, histories(1, 2)), "");
  auto& turns = planned.streams.parts[0];  // send, b, both read by compute: 2 reads a, 3 reads b
  ASSERT_NE(turns[0].record, turns[1].record);
  const int second = turns[1].record;
  for (Turn& t : turns) {
    if (t.record == second) t.record = turns[0].record;
    for (Wait& w : t.waits)
      if (w.event == second) w.event = turns[0].record;
  }
  EXPECT_THAT(fault(planned.plan, planned.streams, {{0}}), ::testing::HasSubstr("send → "));
}

// Expects calls as in the walk, inputs before their readers and outputs after their writers.
void expect_turns(const Schedule& schedule, const StreamPlan& streams) {
  for (size_t part = 0; part < schedule.size(); ++part) {
    std::vector<std::pair<const Call*, int>> walked, listed;
    walk(schedule[part],
         [&](const Cursor& c, const Call& call) { walked.emplace_back(&call, c.lane); });
    std::set<std::pair<int, SlotId>> uploaded, written, downloaded;
    for (const Turn& t : streams.parts[part]) {
      const auto kind = [&](SlotId id) {
        return t.program->slots[size_t(t.program->root(id))].kind;
      };
      if (t.what == Turn::What::upload) {
        const int lane = kind(t.slot) == Kind::constant ? 0 : t.lane;
        EXPECT_TRUE(uploaded.emplace(lane, t.slot).second);
      }
      if (t.what == Turn::What::download) {
        EXPECT_TRUE(written.count({t.lane, t.slot}));
        EXPECT_TRUE(downloaded.emplace(t.lane, t.slot).second);
      }
      if (t.what != Turn::What::call) continue;
      listed.emplace_back(t.call, t.lane);
      for (const SlotId id : t.call->in) {
        if (id == kNone || (kind(id) != Kind::input && kind(id) != Kind::constant)) continue;
        const int lane = kind(id) == Kind::constant ? 0 : t.lane;
        EXPECT_TRUE(uploaded.count({lane, t.program->root(id)})) << t.call->op->name;
      }
      for (const SlotId id : t.call->out)
        if (kind(id) == Kind::output) written.emplace(t.lane, id);
    }
    EXPECT_EQ(walked, listed);
    EXPECT_EQ(written, downloaded);
  }
}

struct Random3 {  // by seed: programs, device streams
  explicit Random3(uint64_t seed)
      : programs(seed), of(seed % 4 == 0 ? kByOperator : random_streams(seed, 2 + int(seed % 3))) {}
  RandomPrograms programs;
  StreamOf of;
};

bool in_place(const Planned& planned, const Turn& t) {
  for (size_t k = 0; k < t.call->out.size(); ++k) {
    const SlotId out = t.call->out[k], base = t.call->base[k];
    if (base == kNone || base == out || !planned.plan.placed(*t.program, t.lane, out)) continue;
    if (planned.plan.place(*t.program, t.lane, out).offset ==
        planned.plan.place(*t.program, t.lane, base).offset)
      return true;
  }
  return false;
}

// The random programs contain what they are meant to.
TEST(RandomStreams, HaveAllThereIs) {
  std::map<std::string, size_t> seeds;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Random3 r(seed);
    const Planned planned(r.programs.schedule, r.of);
    std::set<std::string> has;
    for (const auto& part : planned.streams.parts)
      for (const Turn& t : part) {
        if (t.lane == 1) has.insert("lanes");
        if (t.what != Turn::What::call) continue;
        has.insert(std::string(t.call->op->name));
        if (in_place(planned, t)) has.insert("in place");
        const SlotId out = t.call->out[0];
        if (!planned.plan.placed(*t.program, t.lane, out)) has.insert("unread");
      }
    for (const std::string& what : has) ++seeds[what];
  }
  for (const char* what :
       {"lanes", "in place", "unread", "rounds", "tail", "send", "reduce", "decay"})
    EXPECT_GE(seeds[what], 60u) << what;
}

TEST(RandomStreams, OrderWhatTouchesTheSameBytes) {
  for (uint64_t seed = 0; seed < 300; ++seed)
    for (const bool by_events : {true, false}) {
      const Random3 r(seed);
      const Planned planned(r.programs.schedule, r.of, by_events);
      expect_turns(r.programs.schedule, planned.streams);
      EXPECT_EQ(fault(planned.plan, planned.streams, histories(3, by_events ? 3 : 2)), "") << seed;
      for (size_t part = 0; part < 3 && by_events; ++part)
        EXPECT_EQ(reuse_fault(planned.plan, planned.streams, part), "") << seed;
    }
}

TEST(RandomStreams, NoWaitCanBeLeftOut) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Random3 r(seed);
    const Planned planned(r.programs.schedule, r.of, seed % 2 == 0);
    EXPECT_THAT(needless_waits(planned.plan, planned.streams), ::testing::IsEmpty()) << seed;
  }
}

bool waits_between(const std::vector<Turn>& turns, size_t first, size_t last, int event) {
  for (size_t i = first; i <= last; ++i)
    for (const Wait& w : turns[i].waits)
      if (w.event == event) return true;
  return false;
}

// An event is recorded right after the turn that is waited for: one turn earlier is too early.
// (Where another turn waits for the event in between, it would wait for another record.)
TEST(RandomStreams, NoEventCanBeRecordedEarlier) {
  size_t planted = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Random3 r(seed);
    const Planned planned(r.programs.schedule, r.of);
    for (size_t part = 0; part < 3; ++part) {
      const auto& turns = planned.streams.parts[part];
      std::map<Stream, size_t> last;
      for (size_t i = 0; i < turns.size(); last[turns[i].stream] = i, ++i) {
        if (turns[i].record == kNone || !last.count(turns[i].stream)) continue;
        const size_t before = last[turns[i].stream];
        if (turns[before].record != kNone || waits_between(turns, before, i, turns[i].record))
          continue;
        StreamPlan early = planned.streams;
        early.parts[part][before].record = turns[i].record;
        early.parts[part][i].record = kNone;
        EXPECT_NE(fault(planned.plan, early, histories(3, 2)), "") << seed << " turn " << i;
        ++planted;
      }
    }
  }
  EXPECT_GE(planted, 100u);
}

void fill(const Turn& t, size_t run, std::span<std::byte> bytes) {
  const Random random(run * 100 + size_t(t.lane), "inputs");
  if (t.program->slots[size_t(t.slot)].spec.dtype == DType::i32) {
    const auto count = int32_t(1 + run % 3);
    std::memcpy(bytes.data(), &count, sizeof count);
    return;
  }
  for (size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
    const float x = random.normal(uint64_t(t.slot) * 1000 + i);
    std::memcpy(bytes.data() + i * sizeof x, &x, sizeof x);
  }
}

const History kTwoSteps = {0, 0, 1, 2, 0, 0, 0, 1};

StreamRunResult run(const Planned& planned, const StreamPlan& streams, Pick pick, uint64_t seed) {
  return StreamRun(planned.plan, streams, fill).run(kTwoSteps, pick, seed);
}

TEST(RandomStreams, AnyOrderGivesTheSameBits) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Random3 r(seed);
    const Planned planned(r.programs.schedule, r.of, seed % 2 == 0);
    const StreamRunResult expected = run(planned, planned.streams, Pick::issue_order, 0);
    for (uint64_t order = 0; order < 8; ++order) {
      const Pick pick = order % 2 ? Pick::drawn : Pick::ranked;
      EXPECT_EQ(run(planned, planned.streams, pick, order), expected) << seed << " " << order;
    }
  }
}

// Shows that the runs above could have failed.
TEST(RandomStreams, WithoutWaitsTheBitsDiffer) {
  size_t differ = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Random3 r(seed);
    const Planned planned(r.programs.schedule, r.of);
    StreamPlan none = planned.streams;
    for (auto& part : none.parts)
      for (Turn& t : part) t.waits.clear();
    const StreamRunResult expected = run(planned, planned.streams, Pick::issue_order, 0);
    differ += run(planned, none, Pick::ranked, seed) != expected;
  }
  EXPECT_GE(differ, 15u);
}

}  // namespace
}  // namespace birkhoff::testing
