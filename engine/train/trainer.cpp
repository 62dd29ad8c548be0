#include "engine/train/trainer.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/log.h"
#include "comm/local/one_rank.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/load.h"
#include "engine/data/loader.h"
#include "engine/train/memory_report.h"
#include "engine/train/metrics.h"
#include "engine/train/progress.h"
#include "engine/train/run_directory.h"
#include "engine/train/session.h"
#include "engine/train/training_data.h"

namespace birkhoff {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Run {
 public:
  Run(const Config& config, TrainingData data, Communicator& ranks)
      : config_(config),
        ranks_(ranks),
        data_(std::move(data)),
        directory_(RunDirectory::create(config.run.dir, effective_yaml(config))),
        team_(thread_count(config)),
        session_(config, team_),
        metrics_(directory_.metrics()) {}

  void train(const TrainOptions& options) {
    init_log({.rank = ranks_.rank(), .file = directory_.log(ranks_.rank())});
    log_info("{} parameters, {} threads, run directory {}", count_parameters(config_).total,
             team_.size(), printable(directory_.path().string()));
    session_.executor().profile(options.profile);
    session_.initialise();
    const int64_t last = last_step(config_.train);
    const BatchOrder order{config_.train.global_batch, config_.train.micro_batch};
    Loader loader(
        [&](int64_t number, Batch& batch) { order.read(*data_.source.training, number, batch); }, 0,
        int(config_.data.prefetch));
    ProgressDisplay progress({.first_step = 1, .steps = last}, now());
    for (int64_t step = 1; step <= last; ++step) {
      const int64_t tokens = train_step(step, order, loader);
      if (step % config_.train.log_every == 0 || step == last)
        progress.step(step, loss_, tokens * config_.train.log_every, now());
      if (config_.train.eval_every && due(step, config_.train.eval_every, last) &&
          data_.source.validation) {
        progress.clear();
        evaluate(step);
      }
      if (due(step, config_.checkpoint.every, last)) {
        progress.clear();
        save(step);
      }
    }
    progress.finish();
    if (options.profile) print_profile();
  }

 private:
  // Every `every` steps, and at the end; 0: at the end alone.
  static bool due(int64_t step, int64_t every, int64_t last) {
    return step == last || (every > 0 && step % every == 0);
  }

  void print_profile() const {
    double sum = 0;
    for (const Executor::Timing& t : session_.executor().timings()) sum += t.seconds;
    for (const Executor::Timing& t : session_.executor().timings())
      log_info("{:<30}{:>10} calls {:>10.3f} s {:>6.1f} %", t.name, t.calls, t.seconds,
               100 * t.seconds / sum);
  }

  int64_t train_step(int64_t step, const BatchOrder& order, Loader& loader) {
    const double start = now();
    batches_.resize(size_t(order.micro_batches()));
    int64_t valid = 0;
    for (Batch& batch : batches_) {
      batch = loader.next();
      valid += batch.valid;
    }
    const StepResult result = session_.step(step, batches_);
    loss_ = result.loss;
    add_load(result.expert_load);
    tokens_ += order.global_batch * config_.train.sequence;
    const double seconds = now() - start;
    const double rate = double(order.global_batch * config_.train.sequence) / seconds;
    metrics_.write(StepMetrics{.step = step,
                               .loss = result.loss,
                               .grad_norm = result.grad_norm,
                               .lr = result.lr,
                               .tokens = tokens_,
                               .extra = {{"valid_tokens", double(valid)}},
                               .step_seconds = seconds,
                               .tokens_per_second = rate});
    return order.global_batch * config_.train.sequence;
  }

  void add_load(const std::vector<std::vector<int64_t>>& load) {
    load_.resize(load.size());
    for (size_t layer = 0; layer < load.size(); ++layer) {
      load_[layer].resize(load[layer].size());
      for (size_t e = 0; e < load[layer].size(); ++e) load_[layer][e] += load[layer][e];
    }
  }

  // Held-out windows of the evaluation behind a step: the first ones, in order.
  int64_t eval_windows(int64_t step) const {
    const int64_t all = data_.source.validation->count();
    const bool final = step == last_step(config_.train);
    const int64_t batches = final ? config_.train.final_eval_batches : config_.train.eval_batches;
    return batches == kEvalAll ? all : std::min(all, batches * config_.train.micro_batch);
  }

  void evaluate(int64_t step) {
    const double start = now();
    const int64_t rows = config_.train.micro_batch, windows = eval_windows(step);
    double totals[3] = {};  // nats, targets, bytes of text they stand for
    auto& [sum, valid, bytes] = totals;
    Batch batch;
    for (int64_t first = 0; first < windows; first += rows) {
      read_batch(*data_.source.validation, first, std::min(rows, windows - first), rows, batch);
      for (const float nll : session_.score(batch)) sum += double(nll);
      valid += double(batch.valid);
      if (data_.tokenizer) bytes += double(text_bytes(*data_.tokenizer, batch.target));
    }
    ranks_.all_reduce(elements(std::span<double>(totals)), Reduction::sum);
    const double loss = sum / std::max(valid, 1.0);
    const double bits = bytes > 0 ? sum / std::log(2.0) / bytes : NAN;
    EvalMetrics eval{.step = step, .eval_loss = loss, .eval_tokens = int64_t(valid)};
    eval.eval_bits_per_byte = bits;
    eval.expert_load = std::exchange(load_, {});
    eval.eval_seconds = now() - start;
    metrics_.write(eval);
    if (bytes > 0)
      log_info("step {}: held-out loss {:.4f}, {:.4f} bits per byte over {} tokens", step, loss,
               bits, valid);
    else
      log_info("step {}: held-out loss {:.4f} over {} tokens", step, loss, valid);
  }

  void save(int64_t step) {
    metrics_.flush();  // a checkpoint on the disk has the lines of its steps there too
    std::vector<NamedTensor> tensors;
    for (const TensorView& t : session_.tensors()) tensors.push_back({t.name, t.spec, t.bytes});
    const CheckpointInfo info{.step = step,
                              .tokens = tokens_,
                              .seed = config_.seed,
                              .model = model_fingerprint(config_),
                              .data = data_.fingerprint,
                              .config = effective_yaml(config_),
                              .state = {}};
    try {
      proven_.insert(save_checkpoint(directory_.checkpoint(step), info, tensors));
      if (config_.checkpoint.keep != kKeepAll)
        prune_checkpoints(directory_.path(), config_.checkpoint.keep, proven_);
    } catch (const ResourceError& e) {
      if (config_.checkpoint.on_error == OnError::stop || step == last_step(config_.train)) throw;
      log_warning("step {}: no checkpoint, training goes on: {}", step, e.what());
      return;
    }
    log_info("step {}: saved {}", step, printable(directory_.checkpoint(step).string()));
  }

  const Config config_;
  Communicator& ranks_;
  TrainingData data_;
  RunDirectory directory_;
  ThreadTeam team_;
  Session session_;
  MetricsWriter metrics_;
  std::vector<Batch> batches_;
  std::vector<std::vector<int64_t>> load_;  // since the last evaluation
  std::set<std::string> proven_;            // manifests of the checkpoints that it saved
  double loss_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace

int thread_count(const Config& config) {
  if (config.run.threads > 0) return int(config.run.threads);
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? std::max(1, CPU_COUNT(&cpus)) : 1;
}

void train(const Config& config, const TrainOptions& options) {
  if (config.run.resume == Resume::must)
    throw ConfigError("run.resume: must: resuming a run is not built yet; start a new run.dir");
  TrainingData data = open_training_data(config);
  require_memory(plan_run(config, thread_count(config), data.mapped), available_memory());
  OneRank ranks;
  Run run(config, std::move(data), ranks);
  run.train(options);
}

}  // namespace birkhoff
