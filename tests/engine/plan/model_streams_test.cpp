// Stream plans of what a training session runs: micro-batch, update and score of small models. No
// operator communicates yet, so device streams are assigned here as a run over several ranks would
// need them: gradients are summed as they are made, tokens are sent to experts and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/rng.h"
#include "engine/config/load.h"
#include "engine/execute/executor.h"
#include "engine/plan/cost.h"
#include "engine/train/programs.h"
#include "kernels/dispatch.h"
#include "tests/engine/plan/random_program.h"
#include "tests/engine/plan/stream_run.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

void multiply(const Args& a) {
  const Result& out = a.outputs[0];
  for (int64_t i = 0; i < out.spec->count(); ++i) static_cast<float*>(out.data)[i] *= 1.5f;
}

// Stands in for a sum over ranks: changes a gradient as must happen exactly once, after its last
// call.
const Operator kGradientSum{.name = "gradient_sum",
                            .outputs = nullptr,
                            .flops = nullptr,
                            .implementations = {{}, {}, kReferenceBody<multiply>},
                            .updates = true,
                            .communicates = true};

// Inserts a sum after each call that adds to a parameter's gradient.
void sum_gradients(Program& p) {
  List all;
  for (const Call& call : p.weight_gradient) {
    all.push_back(call);
    for (size_t k = 0; k < call.out.size(); ++k)
      if (const Slot& slot = p.slots[size_t(call.out[k])];
          slot.kind == Kind::accumulator && slot.spec.dtype == DType::f32)
        all.push_back({.op = &kGradientSum,
                       .out = {call.out[k]},
                       .base = {call.out[k]},
                       .phase = call.phase});
  }
  p.weight_gradient = all;
}

bool routes(const Operator* op) {
  return op == &kDispatch || op == &kDispatchBackward || op == &kCombine || op == &kCombineBackward;
}

// Puts the tokens of experts on the communication stream, and what prepares them on the urgent one.
Stream experts_apart(const Turn& t) {
  if (t.what == Turn::What::call && routes(t.call->op)) return Stream::communication;
  if (t.what == Turn::What::call && t.call->op->name == "route_layout") return Stream::urgent;
  return stream_of(t);
}

struct Case {
  const char* name;
  Config config;
  bool summed;
  StreamOf of;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const char* name, ResidualKind residual, int64_t recompute, bool summed,
                       const StreamOf& of) {
    Config c = small_config();
    c.model.residual = residual, c.train.recompute = recompute;
    c.moe.buffer_factor = 0.5, c.parallel.ep = 2;  // two rounds
    all.push_back({name, c, summed, of});
  };
  add("plain, by operator", ResidualKind::plain, 0, true, stream_of);
  add("hc, recomputed", ResidualKind::hc, 2, true, stream_of);
  add("mhc, experts apart", ResidualKind::mhc, 0, true, experts_apart);
  add("mhc, recomputed, experts apart", ResidualKind::mhc, 2, false, experts_apart);
  add("mhc, at random", ResidualKind::mhc, 2, true, random_streams(1, 4));
  add("dense, at random", ResidualKind::plain, 0, true, random_streams(2, 3));
  all.back().config.model.dense_layers = all.back().config.model.layers;
  return all;
}

struct Planned {
  Planned(const Case& c, bool by_events) : programs(std::make_unique<SessionPrograms>(c.config)) {
    if (c.summed) sum_gradients(programs->train);
    const Schedule& schedule = programs->schedule;
    plan = by_events ? plan_memory(schedule, c.of) : plan_memory(schedule);
    streams = plan_streams(schedule, plan, c.of);
  }
  std::unique_ptr<SessionPrograms> programs;  // plans point to it
  Plan plan;
  StreamPlan streams;
};

TEST(ModelStreams, OrderWhatTouchesTheSameBytes) {
  for (const Case& c : cases())
    for (const bool by_events : {true, false}) {
      const Planned p(c, by_events);
      EXPECT_EQ(fault(p.plan, p.streams, histories(3, 2)), "") << c.name;
      EXPECT_EQ(fault(p.plan, p.streams, {{0, 0, 1, 0}, {0, 2, 0}, {2, 1, 0}}), "") << c.name;
      for (size_t part = 0; part < 3 && by_events; ++part)
        EXPECT_EQ(reuse_fault(p.plan, p.streams, part), "") << c.name;
    }
}

TEST(ModelStreams, NoWaitCanBeLeftOut) {
  Case c = cases()[2];
  c.config.model.layers = 2;
  const Planned p(c, true);
  EXPECT_THAT(needless_waits(p.plan, p.streams), ::testing::IsEmpty());
}

// Parameters and inputs from the seed; the step's constants as in a first step.
class ModelInputs {
 public:
  ModelInputs(const Planned& p, const Config& c) : p_(p), config_(c) {}

  void set_parameters(StreamRun& run) const {
    for (const Plan::Named& n : p_.plan.named(Kind::parameter)) {
      auto* values = reinterpret_cast<float*>(run.at(n.place));
      const Random random(3, n.name);
      const bool gain = n.name.find("norm") != std::string::npos;
      for (int64_t i = 0; i < n.spec.count(); ++i)
        values[i] = float(gain) + 0.3f * random.normal(uint64_t(i));
    }
  }

  void operator()(const Turn& t, size_t run, std::span<std::byte> bytes) const {
    const SessionPrograms& s = *p_.programs;
    const bool training = t.program == &s.train;
    const ModelIo& io = training ? s.io : s.score_io;
    if (t.slot == io.scale.id && training) return set(bytes, 0.1f);
    if (t.slot == s.seed.id && training) return set(bytes, 1.0);
    if (t.slot == s.optimizer.hyper.id && training)
      return set(bytes, std::array<float, 4>{1e-2f, 10, 20, 0});
    if (t.slot == io.telemetry.id && training) return set(bytes, int32_t(run % 2));
    const Random random(run + 10, "tokens");
    const auto vocab = uint64_t(config_.model.vocab);
    const int64_t sequence = config_.train.sequence;
    for (size_t i = 0; i < bytes.size() / sizeof(int32_t); ++i) {
      const auto at = int64_t(i) % sequence;
      const int64_t value = t.slot == io.position.id    ? at
                            : t.slot == io.first_key.id ? int64_t(i) - at
                                                        : int64_t(random.below(i, vocab));
      set(bytes.subspan(i * sizeof(int32_t), sizeof(int32_t)), int32_t(value));
    }
  }

 private:
  template <class T>
  static void set(std::span<std::byte> bytes, const T& value) {
    check(bytes.size() == sizeof value, "an input of {} bytes", bytes.size());
    std::memcpy(bytes.data(), &value, sizeof value);
  }
  const Planned& p_;
  const Config& config_;
};

Place place_of(const Plan& plan, Kind kind, const std::string& name) {
  for (const Plan::Named& n : plan.named(kind))
    if (n.name == name) return n.place;
  throw InternalError(fmt::format("no {}", name));
}

StreamRunResult run(const Planned& p, const StreamPlan& streams, const Config& c, Pick pick,
                    uint64_t seed) {
  const ModelInputs inputs(p, c);
  StreamRun device(p.plan, streams, inputs);
  inputs.set_parameters(device);
  return device.run({0, 0, 1, 0, 2, 0, 1}, pick, seed);
}

TEST(ModelStreams, AnyOrderGivesTheSameBits) {
  for (const Case& c : cases()) {
    const Planned p(c, true);
    const StreamRunResult expected = run(p, p.streams, c.config, Pick::issue_order, 0);
    for (uint64_t order = 0; order < 6; ++order)
      EXPECT_EQ(run(p, p.streams, c.config, order % 2 ? Pick::drawn : Pick::ranked, order),
                expected)
          << c.name;
  }
}

// Shows that the runs above could have failed.
TEST(ModelStreams, SumsThatDoNotWaitChangeBits) {
  const Case c = cases()[0];
  const Planned p(c, true);
  const StreamRunResult expected = run(p, p.streams, c.config, Pick::issue_order, 0);
  StreamPlan early = p.streams;
  for (Turn& t : early.parts[0])
    if (t.what == Turn::What::call && t.call->op == &kGradientSum) t.waits.clear();
  size_t differ = 0;
  for (uint64_t order = 0; order < 6; ++order)
    differ += run(p, early, c.config, Pick::ranked, order) != expected;
  EXPECT_GE(differ, 1u);
}

// In issue order, StreamRun does what the executor does.
TEST(ModelStreams, IssueOrderIsTheExecutors) {
  const Case c = cases()[3];
  const Planned p(c, true);
  const ModelInputs inputs(p, c.config);
  StreamRun device(p.plan, p.streams, inputs);
  inputs.set_parameters(device);
  ThreadTeam team(1);
  Executor executor(p.programs->schedule, team, {.device = birkhoff::Device::reference});
  for (const Plan::Named& n : executor.plan().named(Kind::parameter))
    std::memcpy(executor.address(n.place), device.at(place_of(p.plan, Kind::parameter, n.name)),
                n.place.bytes);
  for (const Plan::Named& n : executor.plan().named(Kind::state))
    std::memset(executor.address(n.place), 0, n.place.bytes);
  const History history = {0, 0, 1, 2, 0, 1};
  for (size_t run = 0; run < history.size(); ++run) {
    if (history[run] == 0 && (run == 0 || history[run - 1] != 0)) executor.begin_step();
    for (const Turn& t : p.streams.parts[history[run]])
      if (t.what == Turn::What::upload) {
        const Place at = executor.plan().place(*t.program, t.lane, t.slot);
        inputs(t, run, {executor.address(at), at.bytes});
      }
    executor.run(history[run]);
  }
  device.run(history, Pick::issue_order, 0);
  for (const Kind kind : {Kind::parameter, Kind::accumulator, Kind::state})
    for (const Plan::Named& n : executor.plan().named(kind))
      EXPECT_EQ(std::memcmp(executor.address(n.place), device.at(place_of(p.plan, kind, n.name)),
                            n.place.bytes),
                0)
          << n.name;
}

// Weight gradients beside the rest, as in a run that overlaps communication with them.
Stream weights_apart(const Turn& t) {
  const bool weights = t.what == Turn::What::call &&
                       (t.call->op->name == "linear_dw" || t.call->op->name == "grouped_linear_dw");
  return weights ? Stream::urgent : experts_apart(t);
}

size_t waits_within_runs(const StreamPlan& streams) {
  size_t n = 0;
  for (const auto& part : streams.parts)
    for (const Turn& t : part)
      n += size_t(
          std::count_if(t.waits.begin(), t.waits.end(), [](const Wait& w) { return !w.earlier; }));
  return n;
}

// Seconds of part 0 if a call takes the longer of what its flops and its bytes take: 5e14 flop/s
// and 3 TB/s, 50 GB/s for what is sent, 5 µs per copy. A model, to see the effect of waits for
// memory.
double modelled_seconds(const StreamPlan& streams) {
  std::array<double, kStreams> now = {};
  std::map<int, double> recorded;
  for (const Turn& t : streams.parts[0]) {
    double& end = now[size_t(t.stream)];
    for (const Wait& w : t.waits)
      if (!w.earlier) end = std::max(end, recorded[w.event]);
    if (t.what != Turn::What::call) {
      end += 5e-6;
    } else if (t.call->op != &kRounds) {
      const Cost c = cost(*t.program, *t.call);
      end += t.stream == Stream::communication ? c.bytes / 50e9
                                               : std::max(c.flops / 5e14, c.bytes / 3e12);
    }
    if (t.record != kNone) recorded[t.record] = end;
  }
  return *std::max_element(now.begin(), now.end());
}

// The forward of one micro-batch over the backward of another.
Schedule forward_over_backward(const Program& p) {
  const auto backward = [&](int lane) -> Together {
    return {{.program = &p, .list = &p.input_gradient, .lane = lane},
            {.program = &p, .list = &p.weight_gradient, .lane = lane, .follows = true}};
  };
  Together over = backward(0);
  over.insert(over.begin(), {.program = &p, .list = &p.forward, .lane = 1});
  return {{"two", {{{&p, &p.forward}}, over, backward(1)}}, update_part(p)};
}

// What it costs, in bytes of activations, not to take over memory that another device stream uses,
// and what it saves in waits for memory. One micro-batch with copies alone, or with experts'
// traffic on a device stream of its own: nothing. A forward over a backward, with experts' traffic
// and weight gradients on device streams of their own, for tiny, 3b and 27b: 3.1, 2.4 and 2.6 %
// more bytes; 298 of 353, 458 of 561 and 1178 of 1426 waits are left; 2.5, 4.3 and 4.1 % of the
// modelled time are saved.
TEST(ModelStreams, LifetimesThatEndAtEventsCostLittle) {
  for (const char* name : {"tiny", "3b", "27b"}) {
    const SessionPrograms s(
        load_config(fmt::format("{}/configs/{}.yaml", BIRKHOFF_SOURCE_DIR, name), {}));
    const auto bytes = [](const Plan& plan) { return plan.bytes(Arena::activations); };
    const size_t one = bytes(plan_memory(s.schedule));
    const size_t experts = bytes(plan_memory(s.schedule, experts_apart));
    EXPECT_EQ(bytes(plan_memory(s.schedule, stream_of)), one) << name;
    EXPECT_LE(double(experts), 1.01 * double(one)) << name;
    const Schedule two = forward_over_backward(s.train);
    const Plan by_events = plan_memory(two, weights_apart), by_issue = plan_memory(two);
    const StreamPlan streams = plan_streams(two, by_events, weights_apart);
    const StreamPlan waiting = plan_streams(two, by_issue, weights_apart);
    const auto waits = [](const StreamPlan& plan) { return double(waits_within_runs(plan)); };
    EXPECT_GT(bytes(by_events), bytes(by_issue)) << name;
    EXPECT_LE(double(bytes(by_events)), 1.05 * double(bytes(by_issue))) << name;
    EXPECT_LE(waits(streams), 0.9 * waits(waiting)) << name;
    EXPECT_LE(modelled_seconds(streams), 0.99 * modelled_seconds(waiting)) << name;
    std::printf("%s: one stream %zu, experts apart %zu\n", name, one, experts);
    std::printf("%s: bytes %zu, by issue %zu; waits %.0f, %.0f; modelled seconds %.6f, %.6f\n",
                name, bytes(by_events), bytes(by_issue), waits(streams), waits(waiting),
                modelled_seconds(streams), modelled_seconds(waiting));
  }
}

}  // namespace
}  // namespace birkhoff::testing
