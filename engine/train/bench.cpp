#include "engine/train/bench.h"

#include <algorithm>
#include <chrono>

#include "comm/local/one_rank.h"
#include "engine/data/loader.h"
#include "engine/train/memory_report.h"
#include "engine/train/session.h"
#include "engine/train/trainer.h"
#include "engine/train/training_data.h"

namespace birkhoff {
namespace {

constexpr size_t kMiB = size_t(1) << 20;

// Takes steps of one config on demand.
class Steps {
 public:
  Steps(const Config& config, ThreadTeam& team)
      : config_(config),
        data_(open_training_data(config)),
        session_(config, team, ranks_),
        times_(session_.executor().sites(), session_.own_micro_batches().size()) {
    session_.initialise();
    batches_.resize(size_t(session_.own_micro_batches().size()));
    for (int64_t i = 0; i < BenchOptions::kWarmUp; ++i) take();
    session_.executor().observe(times_);
  }

  void measure() {
    seconds_.push_back(take());
    times_.close_step();
  }

  StepTimes result() const { return {seconds_, {}, times_.rows(), times_.further_rounds()}; }

 private:
  double take() {
    const auto own = int64_t(batches_.size());
    const BatchOrder order{.global_batch = config_.train.global_batch,
                           .micro_batch = config_.train.micro_batch,
                           .begin = 0,
                           .end = own};
    for (int64_t m = 0; m < own; ++m)
      order.read(*data_.source.training, taken_ * own + m, batches_[size_t(m)]);
    ++taken_;
    const auto start = std::chrono::steady_clock::now();
    session_.step(taken_, batches_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  const Config config_;
  OneRank ranks_;
  TrainingData data_;
  Session session_;
  OperatorTimes times_;
  std::vector<Batch> batches_;
  std::vector<double> seconds_;
  int64_t taken_ = 0;
};

size_t array_bytes(const BenchOptions& options, const Machine& machine) {
  if (options.array_mib > 0) return size_t(options.array_mib) * kMiB;
  // Both arrays together may take a quarter of the memory.
  return std::min(std::max(64 * kMiB, 4 * machine.l3), memory_limit() / 8 / kMiB * kMiB);
}

// The arrays that bandwidths are measured with.
class Arrays {
 public:
  explicit Arrays(size_t bytes) : a_(bytes), b_(bytes) {}

  MeasuredPeakRates limits(ThreadTeam& team) const {
    ThreadTeam one(1);
    MeasuredPeakRates limits{.one = measure_peak_rates(one, floats(a_), floats(b_)), .all = {}};
    limits.all = team.size() == 1 ? limits.one : measure_peak_rates(team, floats(a_), floats(b_));
    return limits;
  }
  Bandwidths bandwidths(ThreadTeam& team) const {
    return measure_bandwidths(team, floats(a_), floats(b_));
  }

 private:
  static std::span<float> floats(const Buffer& buffer) {
    return {reinterpret_cast<float*>(buffer.data()), buffer.size() / sizeof(float)};
  }
  Buffer a_, b_;
};

Config plain_of(Config config) {
  config.model.residual = ResidualKind::plain;
  return config;
}

// Why the step cannot alternate with that of plain residuals; "" if it can.
std::string no_plain(const BenchResult& r) {
  const size_t memory = memory_limit();
  const MemoryReport own = plan_run(r.config, r.threads, 1);
  require_memory(own, memory);
  if (r.config.model.residual == ResidualKind::plain)
    return "not measured: the config's residual is plain";
  if (!r.options.plain) return "not measured: --no-plain was given";
  const size_t both = own.total + plan_run(plain_of(r.config), r.threads, 1).total;
  return both > memory ? "not measured: memory does not hold both models" : "";
}

void run_steps(BenchResult& r, ThreadTeam& team, const Arrays& arrays) {
  std::vector<Bandwidths> beside;
  Steps steps(r.config, team);
  std::optional<Steps> plain;
  if (r.no_plain.empty()) plain.emplace(plain_of(r.config), team);
  for (int64_t i = 0; i < r.options.steps; ++i) {
    beside.push_back(arrays.bandwidths(team));
    steps.measure();
    if (plain) plain->measure();
  }
  r.step = steps.result(), r.step.beside = std::move(beside);
  if (plain) r.plain = plain->result();
}

std::vector<ScalingPoint> scale(const BenchResult& r) {
  std::vector<ScalingPoint> points;
  for (int threads = 1;; threads = std::min(2 * threads, r.threads)) {
    ThreadTeam team(threads);
    Steps steps(r.config, team);
    for (int64_t i = 0; i < r.options.steps; ++i) steps.measure();
    points.push_back({threads, steps.result().seconds});
    if (threads == r.threads) return points;
  }
}

}  // namespace

BenchResult bench(const Config& config, const BenchOptions& options) {
  BenchResult r;
  r.config = config, r.options = options, r.machine = this_machine();
  r.config.data.source = DataSourceKind::random;
  r.threads = thread_count(config, 1);
  r.parameters = count_parameters(r.config);
  r.no_plain = no_plain(r);
  r.array_bytes = array_bytes(options, r.machine);
  ThreadTeam team(r.threads);
  const Arrays arrays(r.array_bytes);
  r.before = arrays.limits(team);
  run_steps(r, team, arrays);
  if (options.scaling) r.scaling = scale(r);
  r.after = arrays.limits(team);
  return r;
}

}  // namespace birkhoff
