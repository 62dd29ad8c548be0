#include "engine/config/validate.h"

#include <algorithm>

#include "base/error.h"
#include "engine/config/choices.h"
#include "engine/config/fields.h"
#include "engine/config/suggest.h"

namespace birkhoff {
namespace {

using Keys = std::vector<std::string>;

class Report {
 public:
  explicit Report(std::vector<Finding>& to) : to_(to) {}
  void error_if(bool wrong, Keys keys, std::string text) {
    if (wrong) to_.push_back({Severity::error, std::move(keys), std::move(text)});
  }
  void warn_if(bool odd, Keys keys, std::string text) {
    if (odd) to_.push_back({Severity::warning, std::move(keys), std::move(text)});
  }

 private:
  std::vector<Finding>& to_;
};

void group_rules(const MoeConfig& m, Report& r) {
  r.error_if(m.experts % m.groups != 0, {"moe.groups", "moe.experts"},
             fmt::format("{} does not divide moe.experts ({})", m.groups, m.experts));
  r.error_if(m.active_groups > m.groups, {"moe.active_groups", "moe.groups"},
             fmt::format("{} is more than moe.groups ({})", m.active_groups, m.groups));
  if (m.experts % m.groups != 0 || m.active_groups > m.groups || m.active > m.experts) return;
  const int64_t kept = m.active_groups * (m.experts / m.groups);
  r.error_if(m.active > kept, {"moe.active", "moe.active_groups", "moe.groups", "moe.experts"},
             fmt::format("{} is more than the {} experts of moe.active_groups ({}) groups",
                         m.active, kept, m.active_groups));
}

void model_rules(const Config& c, Report& r) {
  const ModelConfig& m = c.model;
  r.error_if(m.rope_dim % 2 != 0, {"model.rope_dim"},
             fmt::format("{} is odd, but rotary positions need an even number", m.rope_dim));
  r.error_if(
      m.rope_scaling == RopeScaling::yarn && m.rope_beta_fast < m.rope_beta_slow,
      {"model.rope_beta_fast", "model.rope_beta_slow"},
      fmt::format("{} is less than model.rope_beta_slow ({})", m.rope_beta_fast, m.rope_beta_slow));
  r.error_if(m.dense_layers > m.layers, {"model.dense_layers", "model.layers"},
             fmt::format("{} is more than model.layers ({})", m.dense_layers, m.layers));
  r.error_if(c.moe.active > c.moe.experts, {"moe.active", "moe.experts"},
             fmt::format("{} is more than moe.experts ({})", c.moe.active, c.moe.experts));
  group_rules(c.moe, r);
  r.warn_if(m.residual == ResidualKind::mhc && c.optim.weight_decay_static > 0,
            {"optim.weight_decay_static", "model.residual"},
            "decay of mhc's alpha and b pulls its stream mixing towards uniform; 0 is recommended");
  r.warn_if(m.residual == ResidualKind::hc && c.optim.weight_decay_static > 0,
            {"optim.weight_decay_static", "model.residual"},
            "decay of hc's alpha and b makes its residual path fade; 0 is recommended");
}

void parallel_rules(const Config& c, Report& r) {
  const ParallelConfig& p = c.parallel;
  r.error_if(c.model.heads % p.tp != 0, {"parallel.tp", "model.heads"},
             fmt::format("model.heads ({}) is not a multiple of {}", c.model.heads, p.tp));
  r.error_if(c.model.layers < p.pp * p.chunks, {"parallel.pp", "parallel.chunks", "model.layers"},
             fmt::format("{} stages of {} chunks are more than model.layers ({})", p.pp, p.chunks,
                         c.model.layers));
  r.error_if(c.moe.experts < p.ep, {"parallel.ep", "moe.experts"},
             fmt::format("{} is more than moe.experts ({})", p.ep, c.moe.experts));
}

void batch_rules(const Config& c, Report& r) {
  const TrainConfig& t = c.train;
  const int64_t micro_batches = (t.global_batch + t.micro_batch - 1) / t.micro_batch;
  r.error_if(t.micro_batch > t.global_batch, {"train.micro_batch", "train.global_batch"},
             fmt::format("{} is more than train.global_batch ({})", t.micro_batch, t.global_batch));
  r.error_if(t.reduction_groups > micro_batches,
             {"train.reduction_groups", "train.global_batch", "train.micro_batch"},
             fmt::format("{} is more than the {} micro-batches of a step", t.reduction_groups,
                         micro_batches));
  r.warn_if(t.stop_at > t.steps, {"train.stop_at", "train.steps"},
            fmt::format("{} is beyond train.steps ({}), where the run ends", t.stop_at, t.steps));
  r.error_if(
      t.eval_every > 0 && c.data.source == DataSourceKind::files && c.data.validation_fraction == 0,
      {"train.eval_every", "data.validation_fraction"},
      "evaluation needs held-out documents, but data.validation_fraction is 0; raise it, or set "
      "train.eval_every to 0");
}

void schedule_rules(const Config& c, Report& r) {
  const OptimConfig& o = c.optim;
  r.error_if(o.step_points.size() != o.step_factors.size(),
             {"optim.step_factors", "optim.step_points"},
             fmt::format("has {} numbers, but optim.step_points has {}", o.step_factors.size(),
                         o.step_points.size()));
  for (size_t i = 1; i < o.step_points.size(); ++i)
    r.error_if(o.step_points[i] <= o.step_points[i - 1], {"optim.step_points"},
               fmt::format("{} comes after {}, but the numbers must ascend", o.step_points[i],
                           o.step_points[i - 1]));
  r.warn_if(o.warmup_steps > c.train.steps, {"optim.warmup_steps", "train.steps"},
            fmt::format("the warm-up of {} steps is longer than the run of {}", o.warmup_steps,
                        c.train.steps));
  r.warn_if(o.schedule == LrSchedule::wsd && o.warmup_steps <= c.train.steps &&
                static_cast<double>(o.warmup_steps) >
                    (1 - o.decay_fraction) * static_cast<double>(c.train.steps),
            {"optim.warmup_steps", "optim.decay_fraction", "train.steps"},
            "the decay would begin before the warm-up ends, so it is shortened");
}

void allowance_rules(const Config& c, const std::vector<Field>& fields, Report& r) {
  for (const std::string& key : c.run.allow_changes.keys) {
    const bool known = std::any_of(fields.begin(), fields.end(),
                                   [&](const Field& field) { return field.key == key; });
    if (known) continue;
    const size_t dot = std::min(key.find('.'), key.size());
    const std::string section = key.substr(0, dot);
    r.error_if(true, {"run.allow_changes"},
               fmt::format("'{}' is not a config key{}", printable(key, 60),
                           did_you_mean(nearest_key(
                               section, dot < key.size() ? key.substr(dot + 1) : key, fields))));
  }
}

// Refuses what is not built yet.
void planning_rules(const Config& c, Report& r) {
  r.error_if(c.device == DeviceChoice::cuda, {"device"},
             "cuda is not available yet; choose auto or cpu");
  const ParallelConfig& p = c.parallel;
  for (const auto& [key, value] : {std::pair{"parallel.pp", p.pp},
                                   {"parallel.tp", p.tp},
                                   {"parallel.ep", p.ep},
                                   {"parallel.chunks", p.chunks}})
    r.error_if(
        value != 1, {key},
        fmt::format("{} is not available yet: every rank holds the whole model; set 1", value));
  r.error_if(p.zero != 0, {"parallel.zero"},
             "1 is not available yet: every rank holds the whole optimizer state; set 0");
  r.error_if(p.schedule != PipelineSchedule::one_f_one_b, {"parallel.schedule"},
             fmt::format("{} is not available yet; choose 1f1b", name(p.schedule)));
}

void training_rules(const Config& c, Report& r) {
  r.error_if(c.run.dir.empty(), {"run.dir"}, "is empty; set it to a directory for the run");
  r.error_if(c.data.source == DataSourceKind::files && c.data.path.empty(),
             {"data.path", "data.source"},
             "is empty; set it to a dataset, or set data.source: random");
}

}  // namespace

std::vector<Finding> findings(const Config& config, Use use) {
  std::vector<Finding> all;
  Config copy = config;
  const std::vector<Field> fields = fields_of(copy);
  for (const Field& field : fields)
    if (auto fault = range_fault(field))
      all.push_back({Severity::error, {field.key}, std::move(*fault)});
  if (!all.empty()) return all;  // the rules below rely on ranges
  Report report(all);
  model_rules(config, report);
  parallel_rules(config, report);
  batch_rules(config, report);
  schedule_rules(config, report);
  allowance_rules(config, fields, report);
  if (use >= Use::planning) planning_rules(config, report);
  if (use >= Use::training) training_rules(config, report);
  return all;
}

std::vector<std::string> validate(const Config& config, Use use) {
  std::string errors;
  std::vector<std::string> warnings;
  for (const Finding& finding : findings(config, use)) {
    std::string line = fmt::format("{}: {}", finding.keys.front(), finding.text);
    if (finding.severity == Severity::warning)
      warnings.push_back(std::move(line));
    else
      errors += (errors.empty() ? "" : "\n") + line;
  }
  if (!errors.empty()) throw ConfigError(errors);
  return warnings;
}

}  // namespace birkhoff
