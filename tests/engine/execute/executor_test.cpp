// Programs of a few calls, run: known answers.
#include "engine/execute/executor.h"

#include <gtest/gtest.h>

#include "kernels/identity.h"
#include "kernels/weighted_sum.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

const TensorSpec kFour{{4}, DType::f32};
using Four = std::vector<float>;

Value copy(Value x, Value base = {}) {
  return x.program->emit(kIdentity, {x}, {}, {.base = {base}})[0];
}
Value output(Value x) {
  x.program->slots[size_t(x.id)].kind = Kind::output;
  return x;
}

struct Forward {
  explicit Forward(const Program& p) : schedule{forward_part("forward", p)} {}
  void set(Value v, const Four& values, int lane = 0) {
    std::copy(values.begin(), values.end(), executor.data<float>(v, lane).begin());
  }
  Four get(Value v, int lane = 0) const {
    const auto data = executor.data<float>(v, lane);
    return {data.begin(), data.end()};
  }
  Schedule schedule;
  ThreadTeam team{1};
  Executor executor{schedule, team, {.poison = true}};
};

TEST(Executor, AccumulatorsStartOverWithAStep) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value one = p.add(Kind::constant, "one", {{1}, DType::f32});
  const Value total = p.add(Kind::accumulator, "total", {{1}, DType::f64});
  p.emit(kWeightedSum, {x, one}, {}, {.accumulate = {total}});
  Forward run(p);
  run.executor.data<float>(one)[0] = 1;
  run.set(x, {1, 2, 3, 4});
  for (int step = 0; step < 3; ++step) {
    run.executor.begin_step();
    for (int micro_batch = 1; micro_batch <= 3; ++micro_batch) {
      run.executor.run(0);
      EXPECT_EQ(run.executor.data<double>(total)[0], 10 * micro_batch) << step;
    }
  }
}

TEST(Executor, ABaseThatIsReadLaterIsKept) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour), y = p.add(Kind::input, "y", kFour);
  const Value a = copy(x), sum = copy(y, a);  // a + y
  const Value z = output(copy(a, sum));       // 2a + y
  Forward run(p);
  run.set(x, {1, 2, 3, 4}), run.set(y, {10, 20, 30, 40});
  run.executor.run(0);
  EXPECT_EQ(run.get(z), (Four{12, 24, 36, 48}));
}

// A base that dies where its output is born passes its memory on: three sums in the memory of one.
TEST(Executor, ABaseThatDiesIsAddedToInPlace) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value z = output(copy(copy(x, copy(x, copy(x)))));
  Forward run(p);
  run.set(x, {1, 2, 3, 4});
  run.executor.run(0);
  EXPECT_EQ(run.get(z), (Four{3, 6, 9, 12}));
  EXPECT_EQ(run.executor.plan().bytes(Arena::activations), kFour.bytes());
}

TEST(Executor, RoundsAddToRoundZero) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value count = p.add(Kind::input, "count", {{1}, DType::i32});
  const Value sum = p.rounds([&]() -> Program::Round {
    const Value rounds = copy(count);
    return {copy(copy(x)), rounds};
  });
  const Value z = output(copy(sum));
  verify(p);
  Forward run(p);
  run.set(x, {1, 2, 3, 4});
  for (const int32_t n : {1, 2, 5, 1}) {
    run.executor.data<int32_t>(count)[0] = n;
    run.executor.begin_step();
    run.executor.run(0);
    const float f = float(n);
    EXPECT_EQ(run.get(z), (Four{f, 2 * f, 3 * f, 4 * f})) << n;
  }
}

// What a round reads lives until the last round, although the body is done with it earlier.
TEST(Executor, RoundsKeepWhatTheyRead) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value count = p.add(Kind::input, "count", {{1}, DType::i32});
  const Value y = copy(x);
  const Value sum = p.rounds([&]() -> Program::Round {
    const Value rounds = copy(count);
    const Value once = copy(y), twice = copy(once, copy(once));  // may take the memory of y
    return {copy(twice), rounds};
  });
  const Value z = output(copy(sum));
  Forward run(p);
  run.set(x, {1, 2, 3, 4});
  run.executor.data<int32_t>(count)[0] = 3;
  run.executor.run(0);
  EXPECT_EQ(run.get(z), (Four{6, 12, 18, 24}));
}

TEST(Executor, RoundsRefuseAResultWithABase) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value count = p.add(Kind::input, "count", {{1}, DType::i32});
  const auto body = [&]() -> Program::Round {
    const Value rounds = copy(count);
    return {copy(x, copy(x)), rounds};
  };
  EXPECT_THROW(p.rounds(body), InternalError);
}

// If round 0's sum is read elsewhere too, the other rounds add to a copy of it.
TEST(Executor, RoundsKeepABaseThatIsReadLater) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value count = p.add(Kind::input, "count", {{1}, DType::i32});
  std::vector<Value> sums;
  const Value sum = p.rounds([&]() -> Program::Round {
    const Value rounds = copy(count);
    sums.push_back(copy(x));
    return {sums.back(), rounds};
  });
  const Value all = output(copy(sum)), first = output(copy(sums[0]));
  Forward run(p);
  run.set(x, {1, 2, 3, 4});
  run.executor.data<int32_t>(count)[0] = 3;
  run.executor.run(0);
  EXPECT_EQ(run.get(all), (Four{3, 6, 9, 12}));
  EXPECT_EQ(run.get(first), (Four{1, 2, 3, 4}));
}

void nothing(const Args&) {}

// A view of the last two elements of its input.
const Operator kTail{
    .name = "tail",
    .outputs = [](Specs in, const Desc&) -> Outputs {
      return {{.spec = {{2}, in[0].dtype}, .view_of = 0, .offset = 2 * sizeof(float)}};
    },
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<nothing>},
};

TEST(Executor, AViewLiesInItsRootAndKeepsItAlive) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value tail = p.emit(kTail, {copy(x)})[0];
  const Value other = output(copy(copy(x)));  // would take the place of a root that died
  const Value z = output(copy(tail));
  Forward run(p);
  run.set(x, {1, 2, 3, 4});
  run.executor.run(0);
  EXPECT_EQ(run.get(z), (Four{3, 4}));
  EXPECT_EQ(run.get(other), (Four{1, 2, 3, 4}));
}

// Copies its input to those outputs that have memory.
int pair_runs = 0;
void run_pair(const Args& a) {
  ++pair_runs;
  EXPECT_FALSE(a.wanted(0));
  std::copy_n(a.in<float>(0), a.count(0), a.out<float>(1));
}

const Operator kPair{
    .name = "pair",
    .outputs = [](Specs in, const Desc&) -> Outputs {
      return {{.spec = in[0]}, {.spec = in[0]}};
    },
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<run_pair>},
};

TEST(Executor, OutputsThatNobodyReadHaveNoMemory) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value z = output(copy(p.emit(kPair, {x})[1]));
  p.emit(kPair, {x});  // neither of its outputs is read: it does not run
  Forward run(p);
  run.set(x, {1, 2, 3, 4});
  run.executor.run(0);
  EXPECT_EQ(run.get(z), (Four{1, 2, 3, 4}));
  EXPECT_EQ(pair_runs, 1);
  EXPECT_EQ(run.executor.plan().bytes(Arena::activations), kFour.bytes());
}

// Observers see what was called, in order, in which round. Calls that nobody reads are skipped: a
// pair, and the count of rounds in rounds beyond the first.
TEST(Executor, TellsObserversOfEveryCall) {
  struct Calls final : CallObserver {
    explicit Calls(const Executor& executor) : sites(executor.sites()) {}
    void made(const CallMade& call) override {
      EXPECT_LE(last, call.begin);
      EXPECT_LE(call.begin, call.end);
      last = call.end;
      const CallSite& site = sites[call.site];
      EXPECT_EQ(site.further_rounds, call.round > 0);
      EXPECT_EQ(call.args.inputs.size(), site.call->in.size());
      text += fmt::format("{}{} {}; ", site.call->op->name, call.round, name_of(site.pass));
    }
    std::span<const CallSite> sites;
    std::chrono::steady_clock::time_point last;
    std::string text;
  };
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value count = p.add(Kind::input, "count", {{1}, DType::i32});
  p.emit(kPair, {x});  // skipped
  const Value sum = p.rounds([&]() -> Program::Round {
    const Value rounds = copy(count);
    return {copy(copy(x)), rounds};
  });
  output(p.emit(kTail, {copy(sum)})[0]);
  Forward run(p);
  run.executor.data<int32_t>(count)[0] = 2;
  Calls first(run.executor), second(run.executor);
  run.executor.observe(first), run.executor.observe(second);
  run.executor.run(0);
  run.executor.unobserve(first);
  EXPECT_EQ(first.text, second.text);
  EXPECT_EQ(first.text,
            "identity0 forward; identity0 forward; identity0 forward; identity1 forward; "
            "identity1 forward; identity0 forward; tail0 forward; ");
  run.executor.run(0);
  EXPECT_EQ(second.text, first.text + first.text);
}

TEST(Executor, LanesHaveTheirOwnInputsAndActivations) {
  Program p;
  const Value x = p.add(Kind::input, "x", kFour);
  const Value a = copy(x), z = output(copy(a, copy(x)));
  const Schedule schedule = {
      {"both",
       {{{.program = &p, .list = &p.forward}, {.program = &p, .list = &p.forward, .lane = 1}}}}};
  ThreadTeam team(1);
  Executor executor(schedule, team, {.poison = true});
  for (const int lane : {0, 1})
    for (size_t i = 0; i < 4; ++i) executor.data<float>(x, lane)[i] = float(i + 10 * size_t(lane));
  executor.run(0);
  for (const int lane : {0, 1})
    for (size_t i = 0; i < 4; ++i)
      EXPECT_EQ(executor.data<float>(z, lane)[i], 2 * float(i + 10 * size_t(lane)));
}

// Weight gradients at the end of a micro-batch, or each after its phase: the same bits.
TEST(Executor, DeferredWeightGradientsChangeNoBit) {
  for (const int64_t recompute : {0, 2}) {
    Config c = small_config();
    c.model.residual = ResidualKind::mhc, c.train.recompute = recompute;
    ModelRun run(c);
    const double loss = run.step();
    const Program& p = run.program;
    const Schedule late = {
        {"late", {{{&p, &p.forward}}, {{&p, &p.input_gradient}}, {{&p, &p.weight_gradient}}}}};
    Executor deferred(late, run.team, {.poison = true});
    const auto bytes = [&](const Executor& e, size_t id) {
      const Place place = e.plan().place(p, 0, SlotId(id));
      return std::span(e.address(place), place.bytes);
    };
    for (size_t id = 0; id < p.slots.size(); ++id) {
      const Kind kind = p.slots[id].kind;
      if (kind == Kind::activation || kind == Kind::accumulator || kind == Kind::output) continue;
      const auto from = bytes(*run.executor, id);
      std::copy(from.begin(), from.end(), bytes(deferred, id).begin());
    }
    deferred.begin_step();
    deferred.run(0);
    EXPECT_EQ(deferred.data<double>(run.io.loss)[0], loss);
    for (const auto& [parameter, gradient] : p.gradient_of)
      EXPECT_TRUE(std::ranges::equal(bytes(deferred, size_t(gradient)),
                                     bytes(*run.executor, size_t(gradient))))
          << p.slots[size_t(parameter)].name;
  }
}

}  // namespace
}  // namespace birkhoff::testing
