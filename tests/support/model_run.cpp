#include "tests/support/model_run.h"

#include <cmath>

#include "base/rng.h"

namespace birkhoff::testing {

Config small_config() {
  Config c;
  c.model.vocab = 19, c.model.dim = 12, c.model.layers = 3, c.model.dense_layers = 1;
  c.model.heads = 2, c.model.nope_dim = 4, c.model.rope_dim = 2, c.model.v_dim = 5;
  c.model.kv_rank = 6, c.model.streams = 2, c.model.dense_ffn_dim = 10;
  c.moe.experts = 4, c.moe.active = 2, c.moe.shared = 1, c.moe.expert_dim = 7;
  c.train.micro_batch = 2, c.train.global_batch = 2, c.train.sequence = 5;
  return c;
}

ModelRun::ModelRun(const Config& c, ModelRunOptions o)
    : config(c),
      options(o),
      program(o.dtype),
      io(trace_training(program, config)),
      team(o.threads) {
  seed = differentiate(program, io.loss);
  schedule = {micro_batch_part(program)};
  executor.emplace(schedule, team,
                   ExecutorOptions{.device = o.device, .poison = o.poison, .canary = o.canary});
  fill_parameters();
  fill_inputs();
}

void ModelRun::fill_parameters() {
  for (const auto& [id, spec] : program.parameters) {
    std::vector<float> values;
    for (const Part& part : parts_of(spec)) {
      std::vector<float> own(size_t(count(part.shape)));
      initialise(part, config.seed, own);
      if (options.generic) {
        const Random random(3, part.name);
        // Gains stay near 1 and HC's biases near their initial values. HC bounds nothing, and
        // central differences are meaningless for a loss after the norm of streams that nearly
        // vanish.
        const bool near = part.name.find("norm") != std::string::npos ||
                          (config.model.residual == ResidualKind::hc &&
                           part.name.find("_hc.b_") != std::string::npos);
        for (size_t i = 0; i < own.size(); ++i)
          own[i] = (near ? own[i] : 0.0f) +
                   float(near ? options.spread / 4 : options.spread) * random.normal(i);
      }
      values.insert(values.end(), own.begin(), own.end());
    }
    const Value v{&program, id};
    if (options.dtype == DType::f64) {
      const auto data = executor->data<double>(v);
      std::copy(values.begin(), values.end(), data.begin());
    } else {
      const auto data = executor->data<float>(v);
      std::copy(values.begin(), values.end(), data.begin());
    }
  }
}

void ModelRun::fill_inputs() {
  const int64_t tokens = config.train.micro_batch * config.train.sequence;
  const Random random(5, "tokens");
  int64_t valid = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t position = t % config.train.sequence;
    executor->data<int32_t>(io.token)[size_t(t)] =
        int32_t(random.below(uint64_t(t), uint64_t(config.model.vocab)));
    const bool counted = t % 7 != 3;
    valid += counted;
    executor->data<int32_t>(io.target)[size_t(t)] =
        counted ? int32_t(random.below(uint64_t(t + tokens), uint64_t(config.model.vocab))) : -1;
    executor->data<int32_t>(io.position)[size_t(t)] = int32_t(position);
    // The second half of a sequence is a separate document.
    const int64_t half = (config.train.sequence + 1) / 2;
    executor->data<int32_t>(io.first_key)[size_t(t)] =
        int32_t(t - position + (position >= half ? half : 0));
  }
  const double scale = 1.0 / double(valid * options.micro_batches);
  executor->data<double>(seed)[0] = 1;
  if (options.dtype == DType::f64)
    executor->data<double>(io.scale)[0] = scale;
  else
    executor->data<float>(io.scale)[0] = float(scale);
}

double ModelRun::step() {
  executor->begin_step();
  for (int m = 0; m < options.micro_batches; ++m) executor->run(0);
  return executor->data<double>(io.loss)[0];
}

std::vector<double> ModelRun::values(Value v) const {
  const TensorSpec& spec = v.spec();
  return dispatch(spec.dtype, [&](auto type) {
    std::vector<double> out;
    for (const auto x : executor->data<decltype(type)>(v))
      if constexpr (std::is_same_v<decltype(type), bf16>)
        out.push_back(double(to_float(x)));
      else
        out.push_back(double(x));
    return out;
  });
}

Tensors ModelRun::by_part(Kind kind) const {
  Tensors all;
  for (const auto& [id, spec] : program.parameters) {
    const SlotId slot = kind == Kind::parameter ? id : program.gradient_of.at(id);
    const auto all_values = values({const_cast<Program*>(&program), slot});
    auto at = all_values.begin();
    for (const Part& part : parts_of(spec)) {
      all[part.name].assign(at, at + count(part.shape));
      at += count(part.shape);
    }
  }
  return all;
}

Tensors ModelRun::gradients() const { return by_part(Kind::accumulator); }
Tensors ModelRun::parameters() const { return by_part(Kind::parameter); }

void ModelRun::set_parameter(const std::string& name, int64_t index, double value) {
  for (const auto& [id, spec] : program.parameters) {
    int64_t first = 0;
    for (const Part& part : parts_of(spec)) {
      if (part.name == name) {
        const Value v{&program, id};
        if (options.dtype == DType::f64)
          executor->data<double>(v)[size_t(first + index)] = value;
        else
          executor->data<float>(v)[size_t(first + index)] = float(value);
        return;
      }
      first += count(part.shape);
    }
  }
  throw InternalError(fmt::format("no parameter {}", name));
}

double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  check(a.size() == b.size(), "{} and {} values", a.size(), b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

}  // namespace birkhoff::testing
