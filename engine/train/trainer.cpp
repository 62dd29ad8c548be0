#include "engine/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/log.h"
#include "base/machine.h"
#include "comm/exchange.h"
#include "engine/config/load.h"
#include "engine/data/loader.h"
#include "engine/execute/call_times.h"
#include "engine/metrics/metrics.h"
#include "engine/train/epochs.h"
#include "engine/train/evaluation.h"
#include "engine/train/loop_state.h"
#include "engine/train/memory_report.h"
#include "engine/train/progress.h"
#include "engine/train/resume.h"
#include "engine/train/run_directory.h"
#include "engine/train/run_tokenizer.h"
#include "engine/train/saver.h"
#include "engine/train/session.h"
#include "engine/train/trace.h"
#include "engine/train/training_data.h"

namespace birkhoff {
namespace {

RunDirectory open_run(const Config& config, int rank) {
  if (rank != 0) return RunDirectory::join(config.run.dir);
  RunDirectory directory = RunDirectory::open(config.run.dir);
  if (config.run.resume == Resume::never) directory.require_no_run();
  return directory;
}

ExecutorOptions with_beacon(Beacon& beacon) {
  ExecutorOptions options;
  options.beacon = &beacon;
  return options;
}

// The first line in which two texts differ.
std::string first_difference(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const std::string_view x = a.substr(0, a.find('\n')), y = b.substr(0, b.find('\n'));
    if (x != y) return fmt::format("[{}] and [{}]", printable(x), printable(y));
    a.remove_prefix(std::min(a.size(), x.size() + 1));
    b.remove_prefix(std::min(b.size(), y.size() + 1));
  }
  return "nothing";
}

StreamSeries series_of(const StreamTelemetry& t) {
  if (t.empty()) return {};
  return {{"gain_forward", t.gain_forward},           {"gain_backward", t.gain_backward},
          {"composite_forward", t.composite_forward}, {"composite_backward", t.composite_backward},
          {"column_error", t.column_error},           {"cosine", t.cosine}};
}

// Every `every` steps; 0: never.
bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

class Run {
 public:
  Run(const Config& config, const RankEnvironment& environment, TrainingData data,
      RunDirectory directory)
      : config_(config),
        environment_(environment),
        ranks_(environment.ranks),
        data_(std::move(data)),
        directory_(std::move(directory)),
        epochs_{.windows = data_.source.dataset ? data_.source.training->count() : 0,
                .batch = config.train.global_batch,
                .sequence = config.train.sequence},
        team_(thread_count(config, environment.ranks_here)),
        session_(config, team_, ranks_, with_beacon(environment.beacon)) {}
  ~Run() { environment_.beacon.tell(nullptr); }  // the trace ends with the run
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Restores the state after the newest checkpoint, or initialises.
  void begin() {
    const std::vector<TensorView> tensors = session_.tensors();
    std::optional<Resumed> from;
    if (config_.run.resume != Resume::never) {
      environment_.beacon.enter(0, Activity::load);
      from = resume(config_, data_, tensors, ranks_, environment_.beacon);
    }
    if (from) {
      step_ = saved_ = from->info.step;
      state_ = parse_loop_state(from->info);
      say("resumed from {}", printable(from->checkpoint.string()));
      warn(other_bits(state_.ranks, ranks_.size(), config_.train.reduction_groups));
    } else if (config_.run.resume == Resume::must) {
      throw CheckpointError(fmt::format(
          "run.resume: must, but {} has no checkpoint; set run.resume: auto to start at step 1",
          printable(directory_.path().string())));
    } else {
      session_.initialise();
    }
    const ModelTokenizer before = from ? from->tokenizer : ModelTokenizer();
    tokenizer_ = run_tokenizer(before, data_.made_by);
    data_.made_by.json.clear();
    if (!first()) tokenizer_.json.clear();
    // With groups the bits do not depend on the number of ranks, so the checkpoint must not either.
    state_.ranks = config_.train.reduction_groups == 1 ? ranks_.size() : 0;
    saver_.emplace(directory_.path(), config_.checkpoint.keep, ranks_, environment_.beacon,
                   from ? from->manifest_hash : "");
    together(ranks_, [&] {
      if (!first()) return;
      directory_.write_tokenizer(tokenizer_, before);
      directory_.write_config(effective_yaml(config_));
      const CutMetrics cut = cut_metrics(directory_.metrics(), step_);
      if (!cut.aside.empty())
        log_warning("the metrics could not be read and were moved to {}",
                    printable(cut.aside.string()));
      evaluated_ = cut.evaluated;
      metrics_.emplace(directory_.metrics());
    });
    ranks_.broadcast(elements(std::span(&evaluated_, 1)), 0);
  }

  TrainOutcome train(const TrainOptions& options) {
    say("{} parameters, {}{} threads, run directory {}", count_parameters(config_).total,
        ranks_.size() > 1 ? fmt::format("{} ranks of ", ranks_.size()) : "", team_.size(),
        printable(directory_.path().string()));
    std::optional<CallTimes> profile;
    if (options.profile) session_.executor().observe(profile.emplace(session_.executor().sites()));
    const int64_t last = last_step(config_.train);
    if (const auto line = epochs_.outlook(state_.samples, step_ + 1, last); !line.empty())
      say("{}", line);
    warn(epochs_.warning(state_.samples, step_ + 1, last));
    begin_trace(step_ + options.trace_steps);
    // A run that was stopped in an evaluation was saved without its result.
    if (step_ > 0 && evaluates() && !evaluated_ && !evaluate_now()) return preempt();
    if (step_ >= last)
      say("nothing to do: the run has already reached step {}{}", step_,
          last < config_.train.steps ? ", set by train.stop_at" : "");
    const Range own = session_.own_micro_batches();
    const BatchOrder order{.global_batch = config_.train.global_batch,
                           .micro_batch = config_.train.micro_batch,
                           .begin = own.begin,
                           .end = own.end,
                           .first_sample = state_.samples};
    Loader loader(
        [&](int64_t number, Batch& batch) { order.read(*data_.source.training, number, batch); }, 0,
        int(config_.data.prefetch));
    std::optional<ProgressDisplay> progress;
    if (first())
      progress.emplace(ProgressDisplay::Options{.first_step = step_ + 1,
                                                .steps = last,
                                                .epoch = epochs_.of(state_.samples),
                                                .step_epochs = epochs_.of(epochs_.batch)},
                       steady_seconds());
    batches_.resize(size_t(own.size()));
    while (step_ < last) {
      const double start = steady_seconds();
      if (!load_step(own, loader)) {
        if (progress) progress->clear();
        return preempt();
      }
      follow_directory();
      train_step(start);
      if (progress && (step_ % config_.train.log_every == 0 || step_ == last))
        progress->step(step_, loss_, step_tokens() * config_.train.log_every, steady_seconds());
      const bool saves = step_ == last || due(step_, config_.checkpoint.every);
      if (progress && (evaluates() || saves)) progress->clear();
      if (evaluates() && !evaluate_now()) return preempt();
      if (saves) save(step_ == last);
      if (step_ == traced_) write_trace();
    }
    write_trace();
    if (progress) progress->finish();
    if (profile) print(*profile);
    return TrainOutcome::finished;
  }

 private:
  template <class... A>
  void say(fmt::format_string<A...> text, A&&... args) const {
    if (first()) log_info("{}", fmt::format(text, std::forward<A>(args)...));
  }
  bool first() const { return ranks_.rank() == 0; }
  int64_t step_tokens() const { return config_.train.global_batch * config_.train.sequence; }

  void warn(const std::string& text) const {
    if (first() && !text.empty()) log_warning("{}", text);
  }

  // Only on rank 0, in each step. Errors can wait: the next save meets them on all ranks.
  void follow_directory() {
    if (!first()) return;
    try {
      const RunDirectory::Moved moved = directory_.follow();
      const bool anew = moved.how == RunDirectory::Moved::anew;
      if (anew && environment_.own_process) init_log({.rank = 0, .file = directory_.log(0)});
      warn(moved.text);
      if (anew) {
        directory_.write_config(effective_yaml(config_));
        directory_.write_tokenizer(tokenizer_, {});
      } else if (metrics_->removed()) {
        log_warning("{} was removed during the run; a new file starts after step {}",
                    printable(directory_.metrics().string()), step_);
      } else {
        return;
      }
      metrics_.emplace(directory_.metrics());
    } catch (const ResourceError& e) {
      if (lost_ != e.what())
        log_warning("the run directory is not accessible: {}", lost_ = e.what());
    }
  }

  // Returns the directory where rank 0 finds it, on all ranks.
  Path find_directory() {
    follow_directory();
    const std::string path = broadcast_text(ranks_, directory_.path().string(), 0);
    if (!first()) directory_.follow_to(path);
    saver_->follow_to(path);
    return path;
  }

  void print(const CallTimes& profile) const {
    if (!first()) return;
    double sum = 0;
    const auto timings = profile.by_operator();
    for (const CallTimes::Timing& t : timings) sum += t.seconds;
    for (const CallTimes::Timing& t : timings)
      log_info("{:<30}{:>10} calls {:>10.3f} s {:>6.1f} %", t.name, t.calls, t.seconds,
               100 * t.seconds / sum);
  }

  void begin_trace(int64_t last) {
    traced_ = last;
    if (last == step_) return;
    int64_t zero = Trace::wall_clock();
    ranks_.broadcast(elements(std::span(&zero, 1)), 0);
    trace_.emplace(session_.executor().sites(), ranks_.rank(), zero);
    session_.executor().observe(*trace_);
    environment_.beacon.tell(&*trace_);
  }

  // Called when the requested steps are done, or when the run is; writes once.
  void write_trace() {
    if (!trace_) return;
    environment_.beacon.tell(nullptr);
    session_.executor().unobserve(*trace_);
    const Path path = directory_.trace(ranks_.rank());
    try {
      together(ranks_, [&] { trace_->write(path); });
      say("a timeline of each rank is in {}; open it in ui.perfetto.dev",
          printable(path.parent_path().string()));
    } catch (const ResourceError& e) {
      if (first()) log_warning("no timeline was written, but training continues: {}", e.what());
    }
    trace_.reset();
  }

  // Gets the next step's batches. Returns false, on all ranks, if one of them wants the run to
  // stop.
  bool load_step(const Range& own, Loader& loader) {
    environment_.beacon.enter(step_ + 1, Activity::data);
    uint64_t hash = 0;
    for (int64_t m = own.begin; m < own.end; ++m) {
      Batch& batch = batches_[size_t(m - own.begin)];
      batch = loader.next();
      hash += window_hash(batch, m * config_.train.micro_batch);
    }
    int64_t shared[2] = {int64_t(hash), environment_.stop_requested()};
    ranks_.all_reduce(elements(std::span<int64_t>(shared)), Reduction::sum);
    window_hash_ = uint64_t(shared[0]) & kWindowHashMask;
    return shared[1] == 0;
  }

  TrainOutcome preempt() {
    const bool saves = step_ > 0 && saved_ != step_;
    say("stop requested; {}", saves       ? fmt::format("saving after step {}", step_)
                              : step_ > 0 ? fmt::format("step {} is already saved", step_)
                                          : "no step was completed, so nothing is saved");
    write_trace();
    if (saves) save(true);
    return TrainOutcome::preempted;
  }

  NamedValues extra_metrics(const StepResult& result) const {
    NamedValues values = {{"valid_tokens", double(result.valid)},
                          {"window_hash", double(window_hash_)}};
    if (epochs_.windows > 0) values.emplace_back("epoch", epochs_.of(state_.samples));
    return values;
  }

  void train_step(double start) {
    const StepResult& result = session_.step(step_ + 1, batches_);
    ++step_;
    loss_ = result.loss;
    if (std::exchange(evaluated_, 0)) state_.load.clear();
    state_.take_step(result.expert_load, config_.train.global_batch, step_tokens());
    const double seconds = steady_seconds() - start;
    environment_.step_done(seconds);
    if (!metrics_) return;
    metrics_->write(StepMetrics{.step = step_,
                                .loss = result.loss,
                                .grad_norm = result.grad_norm,
                                .lr = result.lr,
                                .tokens = state_.tokens,
                                .extra = extra_metrics(result),
                                .streams = series_of(result.streams),
                                .step_seconds = seconds,
                                .tokens_per_second = double(step_tokens()) / seconds});
  }

  // The number of held-out windows of this evaluation: the first ones, in order.
  int64_t eval_windows() const {
    const int64_t all = data_.source.validation->count();
    const bool final = step_ == config_.train.steps;
    const int64_t batches = final ? config_.train.final_eval_batches : config_.train.eval_batches;
    return batches == kEvalAll ? all : std::min(all, batches * config_.train.micro_batch);
  }

  bool evaluates() const {  // after this step
    return config_.train.eval_every && data_.source.validation &&
           (due(step_, config_.train.eval_every) || step_ == config_.train.steps);
  }

  // Returns false, on all ranks, if a stop request broke it off; then there is no result.
  bool evaluate_now() {
    environment_.beacon.enter(step_, Activity::evaluate);
    const double start = steady_seconds();
    auto evaluated = evaluate(session_, data_, eval_windows(), config_.train.micro_batch, ranks_,
                              environment_.stop_requested);
    if (!evaluated) return false;
    EvalMetrics& eval = *evaluated;
    evaluated_ = 1;
    eval.step = step_;
    eval.expert_load = state_.load;
    eval.eval_seconds = steady_seconds() - start;
    if (metrics_) metrics_->write(eval);
    if (eval.eval_bits_per_byte > 0)
      say("step {}: held-out loss {:.4f}, {:.4f} bits per byte over {} tokens", step_,
          eval.eval_loss, eval.eval_bits_per_byte, eval.eval_tokens);
    else
      say("step {}: held-out loss {:.4f} over {} tokens", step_, eval.eval_loss, eval.eval_tokens);
    return true;
  }

  // Saves once more if the directory was moved during the save.
  void save_where_it_is(const CheckpointInfo& info) {
    for (Path at = find_directory();;) {
      try {
        // What a resumed run does not write again must be on the disk before the checkpoint is.
        together(ranks_, [&] {
          if (metrics_) metrics_->flush();
        });
        return saver_->save(info, session_.tensors(), tokenizer_.json);
      } catch (const ResourceError&) {
        const Path now = find_directory();
        if (now == at) throw;
        at = now;
      }
    }
  }

  // `needed`: what follows relies on the save, so that a failure is an error whatever
  // checkpoint.on_error says.
  void save(bool needed) {
    environment_.beacon.enter(step_, Activity::save);
    const CheckpointInfo info{.step = step_,
                              .tokens = state_.tokens,
                              .seed = config_.seed,
                              .model = model_fingerprint(config_),
                              .data = data_.fingerprint,
                              .tokenizer = tokenizer_.identity,
                              .config = effective_yaml(config_),
                              .state = to_text(state_)};
    try {
      save_where_it_is(info);
    } catch (const ResourceError& e) {
      if (config_.checkpoint.on_error == OnError::stop || needed) throw;
      if (first())
        log_warning("step {}: no checkpoint was saved, but training continues: {}", step_,
                    e.what());
      return;
    }
    saved_ = step_;
    say("step {}: saved {}", step_, printable(directory_.checkpoint(step_).string()));
  }

  const Config config_;
  const RankEnvironment environment_;
  Communicator& ranks_;
  TrainingData data_;
  ModelTokenizer tokenizer_;
  RunDirectory directory_;
  const Epochs epochs_;
  ThreadTeam team_;
  Session session_;
  std::optional<Saver> saver_;
  std::optional<MetricsWriter> metrics_;  // on rank 0
  std::optional<Trace> trace_;
  int64_t traced_ = 0;  // the last step of the trace
  std::vector<Batch> batches_;
  LoopState state_;
  uint64_t window_hash_ = 0;
  int64_t step_ = 0;       // finished
  int64_t saved_ = -1;     // step of the newest checkpoint that this process saved or loaded
  int64_t evaluated_ = 0;  // 1: this step's evaluation is in the metrics
  double loss_ = 0;
  std::string lost_;  // the last error of follow_directory()
};

// Checks that all ranks were given the same config and see the same data.
void require_same_everywhere(const Config& config, const TrainingData& data, Communicator& ranks) {
  Config shared = config;
  shared.run.threads = 0;
  shared.data.path.clear();  // hosts may have copies of their own; the contents are compared
  const std::vector<std::string> configs = all_gather_texts(ranks, effective_yaml(shared));
  for (size_t r = 1; r < configs.size(); ++r)
    if (configs[r] != configs[0])
      throw ConfigError(
          fmt::format("ranks 0 and {} have different configs: {}; start all ranks with the same "
                      "config and overrides",
                      r, first_difference(configs[0], configs[r])));
  const std::vector<std::string> prints = all_gather_texts(
      ranks,
      fmt::format("{} tokenizer={}", data.fingerprint, identity_text(data.made_by.identity)));
  for (size_t r = 1; r < prints.size(); ++r)
    if (prints[r] != prints[0])
      throw DataError(fmt::format(
          "data.path: ranks 0 and {} see different data: [{}] and [{}]; give all hosts the same "
          "files",
          r, printable(prints[0], 600), printable(prints[r], 600)));
}

}  // namespace

int thread_count(const Config& config, int ranks_here) {
  if (config.run.threads > 0) return int(config.run.threads);
  return std::max(1, usable_cores() / std::max(1, ranks_here));
}

TrainOutcome train(const Config& config, const RankEnvironment& environment,
                   const TrainOptions& options) {
  Communicator& ranks = environment.ranks;
  std::optional<TrainingData> data;
  together(ranks, [&] { data = open_training_data(config); });
  require_same_everywhere(config, *data, ranks);
  together(ranks, [&] {
    const int threads = thread_count(config, environment.ranks_here);
    require_memory(plan_run(config, threads, ranks.size(), data->index_bytes,
                            heartbeat_of(&environment.beacon)),
                   memory_limit() / size_t(environment.ranks_here));
  });
  int64_t stop = environment.stop_requested();
  ranks.all_reduce(elements(std::span(&stop, 1)), Reduction::sum);
  if (stop) return TrainOutcome::preempted;  // before memory is filled and a checkpoint read
  std::optional<RunDirectory> directory;
  together(ranks, [&] { directory = open_run(config, ranks.rank()); });
  together(ranks, [&] {
    if (environment.own_process)
      init_log({.rank = ranks.rank(), .file = directory->log(ranks.rank())});
  });
  std::optional<Run> run;
  together(ranks,
           [&] { run.emplace(config, environment, std::move(*data), std::move(*directory)); });
  run->begin();
  return run->train(options);
}

}  // namespace birkhoff
