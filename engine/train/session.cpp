#include "engine/train/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/data/loader.h"
#include "engine/optim/schedule.h"
#include "engine/train/scorer.h"
#include "kernels/balance.h"

namespace birkhoff {
namespace {

int64_t micro_batches(const Config& c) {
  return BatchOrder::micro_batches(c.train.global_batch, c.train.micro_batch);
}

}  // namespace

int64_t reduction_groups_of(const Config& c, int ranks) {
  const int64_t groups = c.train.reduction_groups, batches = micro_batches(c);
  if (groups > 1 && groups % ranks != 0)
    throw ConfigError(
        fmt::format("train.reduction_groups: {} groups cannot be shared by {} ranks; start a "
                    "number of ranks that divides the groups, or set it to a multiple of {}",
                    groups, ranks, ranks));
  if (ranks > batches)
    throw ConfigError(
        fmt::format("train.global_batch: a step of {} micro-batches cannot be shared by {} ranks; "
                    "start fewer ranks, raise train.global_batch or lower train.micro_batch",
                    batches, ranks));
  return groups > 1 ? groups : ranks;
}

std::vector<GroupSum::Tensor> summed_tensors(const Program& train, const Plan& plan,
                                             const Executor* executor) {
  const std::vector<std::string> names = summed_accumulators(train);
  std::vector<GroupSum::Tensor> tensors;
  for (const Plan::Named& a : plan.named(Kind::accumulator))
    if (std::binary_search(names.begin(), names.end(), a.name))
      tensors.push_back({.dtype = a.spec.dtype,
                         .count = a.spec.count(),
                         .data = executor ? executor->address(a.place) : nullptr});
  return tensors;
}

Session::Session(const Config& config, ThreadTeam& team, Communicator& ranks,
                 ExecutorOptions options)
    : config_(config),
      ranks_(ranks),
      beacon_(options.beacon),
      programs_(config_, heartbeat_of(options.beacon)),
      executor_(std::make_unique<Executor>(programs_.schedule, team, options)),
      groups_(reduction_groups_of(config_, ranks.size())),
      sum_(summed_tensors(programs_.train, executor_->plan(), executor_.get()), groups_, ranks,
           team) {
  executor_->data<double>(programs_.seed)[0] = 1;
  for (const Call& call : programs_.train.update)
    if (call.op == &kBalanceUpdate)
      loads_.emplace_back(
          executor_->data<int32_t>(Value{&programs_.train, call.in[BalanceUpdate::load]}));
  result_.expert_load.resize(loads_.size());
  for (const Value& sum : programs_.io.statistics)
    statistics_.emplace_back(executor_->data<double>(sum));
}

Range Session::micro_batches_of_group(int64_t group) const {
  return part_of(micro_batches(config_), groups_, group);
}

Range Session::own_micro_batches() const {
  return {micro_batches_of_group(sum_.own().begin).begin,
          micro_batches_of_group(sum_.own().end - 1).end};
}

void Session::tell(int64_t step, Activity activity) const {
  if (beacon_) beacon_->enter(step, activity);
}

bool Session::wants_telemetry(int64_t step) const {
  return programs_.io.telemetry.program && (step == 1 || step % config_.train.telemetry_every == 0);
}

void Session::initialise() {
  for (const auto& [id, spec] : programs_.train.parameters) {
    const auto values = executor_->data<float>(Value{&programs_.train, id});
    size_t first = 0;
    for (const Part& part : parts_of(spec)) {
      const size_t size = size_t(count(part.shape));
      birkhoff::initialise(part, config_.seed, values.subspan(first, size));
      first += size;
      if (beacon_) beacon_->tick();
    }
  }
  for (const Plan::Named& state : executor_->plan().named(Kind::state)) {
    std::memset(executor_->address(state.place), 0, state.place.bytes);
    if (beacon_) beacon_->tick();
  }
}

const StepResult& Session::step(int64_t t, std::span<const Batch> micro_batches) {
  const Range own = own_micro_batches();
  check(int64_t(micro_batches.size()) == own.size(),
        "step {}: {} micro-batches are given instead of {}", t, micro_batches.size(), own.size());
  int64_t valid = 0;
  for (const Batch& batch : micro_batches) valid += batch.valid;
  ranks_.all_reduce(elements(std::span(&valid, 1)), Reduction::sum);
  check(valid > 0, "step {} has no token to predict", t);
  executor_->data<float>(programs_.io.scale)[0] = float(1 / double(valid));
  const auto hyper = hyper_of(config_, t);
  std::copy(hyper.begin(), hyper.end(), executor_->data<float>(programs_.optimizer.hyper).begin());

  if (programs_.io.telemetry.program)
    executor_->data<int32_t>(programs_.io.telemetry)[0] = wants_telemetry(t);

  for (int64_t group = sum_.own().begin; group < sum_.own().end; ++group) {
    executor_->begin_step(t);
    const Range range = micro_batches_of_group(group);
    for (int64_t m = range.begin; m < range.end; ++m) {
      tell(t, Activity::forward);
      fill_inputs(*executor_, programs_.io, micro_batches[size_t(m - own.begin)]);
      executor_->run(SessionPrograms::kMicroBatch);
    }
    sum_.close_group();
  }
  tell(t, Activity::reduce);
  sum_.finish();
  tell(t, Activity::update);
  executor_->run(SessionPrograms::kUpdate);
  result_.loss = executor_->data<double>(programs_.io.loss)[0];
  result_.grad_norm = executor_->data<double>(programs_.optimizer.norm)[0];
  result_.lr = learning_rate(config_.optim, config_.train.steps, t);
  result_.valid = valid;
  if (!std::isfinite(result_.loss) || !std::isfinite(result_.grad_norm))
    throw NumericError(
        fmt::format("step {}: loss {} or gradient norm {} is not finite; the parameters are "
                    "unchanged since step {}; {}",
                    t, result_.loss, result_.grad_norm, t - 1,
                    t == 1 ? "no update was made yet, so check the initial weights "
                             "(model.init_std, or the imported model)"
                           : "lower optim.lr or raise optim.warmup_steps"));
  for (size_t layer = 0; layer < loads_.size(); ++layer)
    result_.expert_load[layer].assign(loads_[layer].begin(), loads_[layer].end());
  result_.streams.clear();
  if (wants_telemetry(t)) stream_telemetry(statistics_, result_.streams);
  return result_;
}

std::span<const float> Session::score(const Batch& batch) {
  fill_inputs(*executor_, programs_.score_io, batch);
  executor_->run(SessionPrograms::kScore);
  return executor_->data<float>(programs_.score_io.nll);
}

std::vector<TensorView> Session::tensors() {
  std::vector<TensorView> all;
  const auto add = [&](const std::string& name, const TensorSpec& spec, std::byte* at) {
    all.push_back({name, spec, {at, spec.bytes()}});
  };
  std::map<std::string, Plan::Named> state;
  for (const Plan::Named& s : executor_->plan().named(Kind::state)) state[s.name] = s;
  const Program& train = programs_.train;
  for (const auto& parameter : train.parameters) {
    const SlotId id = parameter.first;
    const ParameterSpec& spec = parameter.second;
    std::byte* values = executor_->address(executor_->plan().place(train, 0, id));
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
