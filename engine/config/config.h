#pragma once
// A run's configuration as plain typed structs with defaults: the model and warm-up of
// configs/tiny.yaml, the rest of the optimizer from arXiv 2512.24880, Table 5. Units, ranges and
// help of every field are in fields.cpp, the one list from which parser, help text, docs/config.md
// and the effective dump are made. Counts are int64_t, so that products of them do not overflow by
// accident. Values, no pointers: copy freely.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

enum class DeviceChoice { automatic, cpu, cuda };  // auto | cpu | cuda
enum class Resume { automatic, must, never };      // auto | must | never
enum class DataSourceKind { files, random };
enum class ResidualKind { plain, hc, mhc };
enum class RopeScaling { none, yarn };
enum class HcKind { dynamic, fixed };  // dynamic | static
enum class SinkhornKind { paper, v4 };
enum class ReadoutKind { sum, learned, mean };
enum class Precision { bf16, fp32 };
enum class LrSchedule { step, cosine, constant, wsd };
enum class OnError { proceed, stop };  // continue | stop
enum class PipelineSchedule { one_f_one_b, interleaved, zb_h1, zb_v, dualpipe_v };  // 1f1b | …

// train.recompute: a block of that many sublayers is recomputed from its first residual state.
inline constexpr int64_t kRecomputeNone = 0;   // none: everything is saved
inline constexpr int64_t kRecomputeAuto = -1;  // auto: the block length that needs least memory
// train.final_eval_batches
inline constexpr int64_t kEvalAll = 0;  // all: every held-out window
// checkpoint.keep
inline constexpr int64_t kKeepAll = 0;  // all

// run.allow_changes: which keys may change when a run resumes from a checkpoint: all, or these.
struct AllowedChanges {
  bool all = false;
  std::vector<std::string> keys = {};

  bool allows(std::string_view key) const {
    return all || std::find(keys.begin(), keys.end(), key) != keys.end();
  }
  bool operator==(const AllowedChanges&) const = default;
};

struct RunConfig {
  std::string dir = "runs/tiny";
  Resume resume = Resume::automatic;
  AllowedChanges allow_changes = {};
  int64_t timeout = 0;  // seconds; 0: derived from the slowest step
  int64_t threads = 0;  // 0: the rank's share of the cores

  bool operator==(const RunConfig&) const = default;
};

struct DataConfig {
  DataSourceKind source = DataSourceKind::files;
  std::string path;  // prefix of a token dataset: <path>.bin, <path>.idx
  double validation_fraction = 0.05;
  bool cross_documents = false;          // attention looks across document borders
  bool predict_across_documents = true;  // the first token of the next document is a target
  int64_t prefetch = 2;                  // batches

  bool operator==(const DataConfig&) const = default;
};

struct ModelConfig {
  int64_t vocab = 257;
  int64_t dim = 128;
  int64_t layers = 8;
  int64_t dense_layers = 1;  // how many leading layers are dense
  int64_t heads = 4;
  int64_t nope_dim = 32;
  int64_t rope_dim = 16;
  int64_t v_dim = 32;
  int64_t kv_rank = 64;
  int64_t q_rank = 0;  // 0: queries are projected from the input directly
  double rope_theta = 10000;
  // The rope_… keys below apply to yarn only.
  RopeScaling rope_scaling = RopeScaling::none;
  double rope_factor = 1;
  int64_t rope_original_positions = 4096;
  double rope_beta_fast = 32;
  double rope_beta_slow = 1;
  double rope_mscale = 0, rope_mscale_all_dim = 0;  // 0: not given
  double rope_attention_factor = 0;                 // 0: follows from the other keys
  bool rope_truncate = true;
  int64_t dense_ffn_dim = 0;  // 0: 8 × moe.expert_dim; read it through dense_ffn_width()
  double norm_eps = 1e-20;
  double kv_norm_eps = 1e-20;
  ResidualKind residual = ResidualKind::mhc;
  int64_t streams = 4;
  HcKind hc = HcKind::dynamic;
  SinkhornKind sinkhorn = SinkhornKind::paper;
  int64_t sinkhorn_iterations = 20;
  ReadoutKind readout = ReadoutKind::sum;
  double init_std = 0.006;
  double alpha_init = 0.01;

  bool operator==(const ModelConfig&) const = default;
};

struct MoeConfig {
  int64_t experts = 8;
  int64_t active = 2;
  int64_t groups = 1;         // groups of neighbouring experts
  int64_t active_groups = 1;  // groups that a token's experts are chosen from
  int64_t shared = 1;
  int64_t expert_dim = 64;
  double scaling = 1.0;
  bool normalise = true;  // weights of the chosen experts sum to `scaling`
  double bias_speed = 1e-3;
  double buffer_factor = 1.5;

  bool operator==(const MoeConfig&) const = default;
};

struct TrainConfig {
  int64_t steps = 1000;       // length of the schedule
  int64_t stop_at = 0;        // 0: steps
  int64_t global_batch = 16;  // sequences
  int64_t micro_batch = 4;    // sequences
  int64_t sequence = 256;     // tokens
  Precision precision = Precision::fp32;
  int64_t recompute = kRecomputeNone;
  int64_t reduction_groups = 1;
  int64_t eval_every = 0;  // steps; 0: never
  int64_t eval_batches = 8;
  int64_t final_eval_batches = kEvalAll;  // of the evaluation after the last step
  int64_t log_every = 1;
  int64_t telemetry_every = 10;  // steps; 0: never

  bool operator==(const TrainConfig&) const = default;
};

struct OptimConfig {
  double lr = 8.6e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-20;
  double weight_decay = 0.1;            // matrices
  double weight_decay_embedding = 0.1;  // embedding and head
  double weight_decay_phi = 0.1;        // phi of mHC; theta of HC
  double weight_decay_static = 0;       // alpha, b: decay of 6I - 3 would drag H_res to uniform
  double weight_decay_norm = 0;
  double clip_norm = 1.0;  // 0: none
  LrSchedule schedule = LrSchedule::step;
  int64_t warmup_steps = 50;
  std::vector<double> step_points = {0.8, 0.9};     // fractions of train.steps
  std::vector<double> step_factors = {0.316, 0.1};  // of lr, from each point on
  double min_lr_fraction = 0.1;                     // of lr; cosine and wsd end there
  double decay_fraction = 0.2;                      // of train.steps; wsd's last part

  bool operator==(const OptimConfig&) const = default;
};

struct CheckpointConfig {
  int64_t every = 500;  // steps; 0: only at the end
  int64_t keep = 3;     // kKeepAll: all
  OnError on_error = OnError::stop;

  bool operator==(const CheckpointConfig&) const = default;
};

struct ParallelConfig {
  int64_t pp = 1, tp = 1, ep = 1;
  int64_t chunks = 1;  // model chunks per pipeline stage
  int64_t zero = 0;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;

  bool operator==(const ParallelConfig&) const = default;
};

struct Config {
  uint64_t seed = 1;
  DeviceChoice device = DeviceChoice::automatic;
  RunConfig run;
  DataConfig data;
  ModelConfig model;
  MoeConfig moe;
  TrainConfig train;
  OptimConfig optim;
  CheckpointConfig checkpoint;
  ParallelConfig parallel;

  bool operator==(const Config&) const = default;
};

// The width of a dense layer's FFN: 8 × moe.expert_dim unless given.
inline int64_t dense_ffn_width(const Config& c) {
  return c.model.dense_ffn_dim ? c.model.dense_ffn_dim : 8 * c.moe.expert_dim;
}

// The last step of this run: train.stop_at, or the schedule's end.
inline int64_t last_step(const TrainConfig& t) {
  return t.stop_at && t.stop_at < t.steps ? t.stop_at : t.steps;
}

}  // namespace birkhoff
