#include "engine/train/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/autograd/differentiate.h"
#include "engine/optim/schedule.h"
#include "engine/train/scorer.h"
#include "kernels/balance.h"

namespace birkhoff {
namespace {

enum SchedulePartIndex : size_t { kMicroBatch, kUpdate, kScore };

Value find(Program& p, std::string_view name) {
  for (size_t id = 0; id < p.slots.size(); ++id)
    if (p.slots[id].name == name) return {&p, SlotId(id)};
  throw InternalError(fmt::format("no slot {}", name));
}

}  // namespace

Schedule trace_session(const Config& config, Program& train, Program& score, ModelIo& io,
                       ModelIo& score_io, OptimizerIo& optimizer) {
  io = trace_training(train, config);
  differentiate(train, io.loss);
  optimizer = trace_update(train, config);
  verify(train);
  score_io = trace_scoring(score, config, config.train.micro_batch, config.train.sequence);
  return {micro_batch_part(train), update_part(train), forward_part("score", score)};
}

Session::Session(const Config& config, ThreadTeam& team, ExecutorOptions options)
    : config_(config),
      schedule_(trace_session(config_, train_, score_, io_, score_io_, optimizer_)),
      executor_(std::make_unique<Executor>(schedule_, team, options)) {
  executor_->data<double>(find(train_, "one"))[0] = 1;
  for (const Call& call : train_.update)
    if (call.op == &kBalanceUpdate) loads_.push_back(call.in[BalanceUpdate::load]);
}

void Session::initialise() {
  for (const auto& [id, spec] : train_.parameters) {
    const auto values = executor_->data<float>(Value{&train_, id});
    size_t first = 0;
    for (const Part& part : parts_of(spec)) {
      const size_t size = size_t(count(part.shape));
      birkhoff::initialise(part, config_.seed, values.subspan(first, size));
      first += size;
    }
  }
  for (const Plan::Named& state : executor_->plan().named(Kind::state))
    std::memset(executor_->address(state.place), 0, state.place.bytes);
}

StepResult Session::step(int64_t t, std::span<const Batch> micro_batches) {
  int64_t valid = 0;
  for (const Batch& batch : micro_batches) valid += batch.valid;
  check(valid > 0, "step {} has no token with a target", t);
  executor_->data<float>(io_.scale)[0] = float(1 / double(valid));
  const auto hyper = hyper_of(config_, t);
  std::copy(hyper.begin(), hyper.end(), executor_->data<float>(optimizer_.hyper).begin());

  executor_->begin_step();
  for (const Batch& batch : micro_batches) {
    fill_inputs(*executor_, io_, batch);
    executor_->run(kMicroBatch);
  }
  executor_->run(kUpdate);
  StepResult result{.loss = executor_->data<double>(io_.loss)[0],
                    .grad_norm = executor_->data<double>(optimizer_.norm)[0],
                    .lr = learning_rate(config_.optim, config_.train.steps, t),
                    .expert_load = {}};
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm))
    throw NumericError(fmt::format(
        "step {}: loss {}, gradient norm {}: not finite; the parameters are those of step {}. "
        "Lower optim.lr or raise optim.warmup_steps",
        t, result.loss, result.grad_norm, t - 1));
  for (const SlotId id : loads_) {
    const auto load = executor_->data<int32_t>(Value{&train_, id});
    result.expert_load.emplace_back(load.begin(), load.end());
  }
  return result;
}

std::span<const float> Session::score(const Batch& batch) {
  fill_inputs(*executor_, score_io_, batch);
  executor_->run(kScore);
  return executor_->data<float>(score_io_.nll);
}

std::vector<TensorView> Session::tensors() {
  std::vector<TensorView> all;
  const auto add = [&](const std::string& name, const TensorSpec& spec, std::byte* at) {
    all.push_back({name, spec, {at, spec.bytes()}});
  };
  std::map<std::string, Plan::Named> state;
  for (const Plan::Named& s : executor_->plan().named(Kind::state)) state[s.name] = s;
  for (const auto& parameter : train_.parameters) {
    const SlotId id = parameter.first;
    const ParameterSpec& spec = parameter.second;
    std::byte* values = executor_->address(executor_->plan().place(train_, 0, id));
    const auto moment = [&](const char* which) {
      const auto node = state.extract(fmt::format("{}.{}", which, spec.name));
      check(!node.empty(), "parameter {} has no {}", spec.name, which);
      return executor_->address(node.mapped().place);
    };
    std::byte *m = moment("adam_m"), *v = moment("adam_v");
    size_t first = 0;
    for (const Part& part : parts_of(spec)) {
      const TensorSpec part_spec{part.shape, DType::f32};
      add(part.name, part_spec, values + first);
      add("adam_m." + part.name, part_spec, m + first);
      add("adam_v." + part.name, part_spec, v + first);
      first += part_spec.bytes();
    }
  }
  for (const auto& [name, s] : state) add(name, s.spec, executor_->address(s.place));
  std::sort(all.begin(), all.end(),
            [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
  return all;
}

}  // namespace birkhoff
