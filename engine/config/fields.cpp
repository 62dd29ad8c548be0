#include "engine/config/fields.h"

namespace birkhoff {
namespace {

// Upper bounds keep products of a few counts within 64 bits; none is a limit of the method.
constexpr int64_t kManySteps = 1'000'000'000;
constexpr int64_t kMany = 1 << 20;
constexpr int64_t kWide = 1 << 16;
// Least value where 0 is not allowed: smaller numbers become 0, or lose digits, in fp32.
constexpr double kSmallest = 1e-37;

constexpr Section kSections[] = {
    {"", "Top level"},
    {"run", "Run directory, resuming and resources"},
    {"data", "Training data"},
    {"model", "Model architecture"},
    {"moe", "Mixture of experts"},
    {"train", "Batches, steps, memory"},
    {"optim", "AdamW and its learning rate"},
    {"checkpoint", "Checkpoints"},
    {"parallel", "Layout over ranks; the ranks left over form the data-parallel dimension"},
};

class List {
 public:
  void section(std::string_view name) { prefix_ = name.empty() ? "" : std::string(name) + "."; }
  void add(std::string_view leaf, Field::Target target, std::string_view unit,
           std::string_view help, std::vector<std::string_view> also = {}) {
    fields.push_back({prefix_ + std::string(leaf), std::move(target), unit, help, std::move(also)});
  }
  std::vector<Field> fields;

 private:
  std::string prefix_;
};

void top_fields(Config& c, List& to) {
  to.section("");
  to.add("seed", Unsigned{&c.seed}, "",
         "seed of the initial weights, the choice of held-out documents and the sample order",
         {"random_seed", "manual_seed"});
  to.add("device", one_of(c.device), "",
         "device to train on; auto: the CPU, since training on a GPU is not available yet");
}

void run_fields(RunConfig& c, List& to) {
  to.section("run");
  to.add("dir", Text{&c.dir}, "path",
         "directory for the run's checkpoints, metrics and logs, relative to the working directory",
         {"output_dir", "out_dir", "run_dir"});
  to.add("resume", one_of(c.resume), "",
         "auto: resume from the newest checkpoint in run.dir, or start at step 1 if it has none; "
         "must: fail if it has none; never: fail if run.dir already holds a run");
  to.add(
      "allow_changes", Allowed{&c.allow_changes}, "",
      "keys that may differ from the checkpoint's config on resume, as long as the tensors still "
      "fit (data.path allows other data); true: every key; false: none; differences are logged");
  to.add("timeout", Integer{&c.timeout, 0, 86400}, "seconds",
         "end the run when a rank makes no progress for this long; 0: five times the slowest step "
         "so far, but at least 60");
  to.add("threads", Integer{&c.threads, 0, 1024}, "threads",
         "number of threads per rank; 0: the rank's share of the cores that its CPU affinity and "
         "CPU quota allow; results do not depend on it",
         {"num_threads", "workers"});
}

void data_fields(DataConfig& c, List& to) {
  to.section("data");
  to.add("source", one_of(c.source), "",
         "files: read the token dataset at data.path; random: draw uniform tokens from the seed");
  to.add("path", Text{&c.path}, "path",
         "prefix of the token dataset: PATH stands for PATH.bin and PATH.idx, written by birkhoff "
         "data prepare --out PATH",
         {"dataset", "data_path", "train_data"});
  to.add("validation_fraction", Real{&c.validation_fraction, 0, 0.5}, "fraction of tokens",
         "share held out for evaluation, in whole documents chosen by the seed; 0: nothing is held "
         "out",
         {"val_fraction", "holdout"});
  to.add("cross_documents", Flag{&c.cross_documents}, "",
         "whether attention may look across document boundaries");
  to.add("predict_across_documents", Flag{&c.predict_across_documents}, "",
         "whether the first token of the next document is a prediction target");
  to.add("prefetch", Integer{&c.prefetch, 1, 64}, "batches",
         "number of batches loaded ahead of the training step", {"prefetch_factor"});
}

// Keys of model.rope_scaling: yarn (arXiv 2309.00071), with the values of transformers' keys.
void yarn_fields(ModelConfig& c, List& to) {
  to.add("rope_scaling", one_of(c.rope_scaling), "",
         "how rotary frequencies are changed for a longer context; yarn: as in arXiv 2309.00071, "
         "set by the model.rope_ keys that follow, which have no effect otherwise");
  to.add("rope_factor", Real{&c.rope_factor, 1, 1e6}, "",
         "yarn: factor by which the context is extended");
  to.add("rope_original_positions", Integer{&c.rope_original_positions, 1, 1 << 30}, "tokens",
         "yarn: length of the context before the extension", {"original_max_position_embeddings"});
  to.add(
      "rope_beta_fast", Real{&c.rope_beta_fast, 0, 1e6, Bounds::above_min}, "rotations",
      "yarn: frequencies that make at least this many rotations in the original context are kept",
      {"beta_fast"});
  to.add("rope_beta_slow", Real{&c.rope_beta_slow, 0, 1e6, Bounds::above_min}, "rotations",
         "yarn: frequencies that make at most this many rotations in the original context are "
         "divided by model.rope_factor",
         {"beta_slow"});
  to.add("rope_mscale", Real{&c.rope_mscale, 0, 100}, "",
         "yarn: weight of ln(model.rope_factor) in the magnitude of rotated features; used only if "
         "model.rope_mscale_all_dim is set too, otherwise the weight is 1; 0: not set",
         {"mscale"});
  to.add("rope_mscale_all_dim", Real{&c.rope_mscale_all_dim, 0, 100}, "",
         "yarn: weight of ln(model.rope_factor) in the scale of attention; if model.rope_mscale is "
         "set too, it also divides the magnitude of rotated features; 0: not set",
         {"mscale_all_dim"});
  to.add(
      "rope_attention_factor", Real{&c.rope_attention_factor, 0, 1000}, "",
      "yarn: magnitude of rotated features; 0: derived from model.rope_factor and the mscale keys",
      {"attention_factor"});
  to.add("rope_truncate", Flag{&c.rope_truncate}, "",
         "yarn: whether the range between kept and divided frequencies is widened to whole feature "
         "pairs",
         {"truncate"});
}

void model_fields(ModelConfig& c, List& to) {
  to.section("model");
  to.add("vocab", Integer{&c.vocab, 2, 1 << 24}, "tokens", "size of the vocabulary",
         {"vocab_size", "n_vocab"});
  to.add("dim", Integer{&c.dim, 1, kWide}, "", "width C of each residual stream",
         {"hidden_size", "d_model", "n_embd", "embed_dim"});
  to.add("layers", Integer{&c.layers, 1, 4096}, "",
         "number of transformer blocks (attention and FFN)",
         {"num_layers", "num_hidden_layers", "n_layer", "depth"});
  to.add("dense_layers", Integer{&c.dense_layers, 0, 4096}, "",
         "number of leading blocks whose FFN is dense; the others have a mixture of experts",
         {"first_k_dense_replace", "n_dense_layers"});
  to.add("heads", Integer{&c.heads, 1, 4096}, "", "number of attention heads",
         {"num_heads", "num_attention_heads", "n_head"});
  to.add("nope_dim", Integer{&c.nope_dim, 1, 4096}, "",
         "width per head of the part of q and k without positions", {"qk_nope_head_dim"});
  to.add("rope_dim", Integer{&c.rope_dim, 2, 4096}, "",
         "width per head of the part of q and k with rotary positions; must be even",
         {"qk_rope_head_dim"});
  to.add("v_dim", Integer{&c.v_dim, 1, 4096}, "", "width per head of v", {"v_head_dim"});
  to.add("kv_rank", Integer{&c.kv_rank, 1, kWide}, "",
         "width of the latent that k and v are projected from", {"kv_lora_rank"});
  to.add("q_rank", Integer{&c.q_rank, 0, kWide}, "",
         "width of the latent that queries are projected from; 0: no latent, queries are projected "
         "from the block's input",
         {"q_lora_rank"});
  to.add("rope_theta", Real{&c.rope_theta, 1, 1e12, Bounds::above_min}, "",
         "base of the rotary frequencies", {"rotary_base"});
  yarn_fields(c, to);
  to.add("dense_ffn_dim", Integer{&c.dense_ffn_dim, 0, 1 << 20}, "",
         "inner width of a dense FFN; 0: 8 × moe.expert_dim", {"intermediate_size"});
  to.add("norm_eps", Real{&c.norm_eps, kSmallest, 1}, "",
         "epsilon of every RMSNorm except those on the latents (model.kv_norm_eps)",
         {"rms_norm_eps", "layer_norm_eps"});
  to.add("kv_norm_eps", Real{&c.kv_norm_eps, kSmallest, 1}, "",
         "epsilon of the RMSNorm on the kv latent and, if model.q_rank is set, of the one on the q "
         "latent");
  to.add("residual", one_of(c.residual), "",
         "kind of residual connection; plain: a single stream; hc: hyper-connections; mhc: "
         "manifold-constrained hyper-connections");
  to.add("streams", Integer{&c.streams, 1, 16}, "", "number n of residual streams of hc and mhc",
         {"hc_mult", "num_streams", "expansion_rate"});
  to.add("hc", one_of(c.hc), "",
         "gates of hc; dynamic: computed for each token; static: parameters only");
  to.add("sinkhorn", one_of(c.sinkhorn), "",
         "form of the Sinkhorn-Knopp projection of mhc; paper: arXiv 2512.24880; v4: arXiv "
         "2606.19348");
  to.add("sinkhorn_iterations", Integer{&c.sinkhorn_iterations, 1, 1000}, "",
         "number of Sinkhorn-Knopp iterations of mhc, each a normalisation of columns and of rows",
         {"hc_sinkhorn_iters"});
  to.add("readout", one_of(c.readout), "",
         "how the streams are combined after the last block; mean is what birkhoff import sets for "
         "a plain model that gains streams");
  to.add("init_std", Real{&c.init_std, 0, 10}, "",
         "standard deviation of the initial values of matrices", {"initializer_range"});
  to.add("alpha_init", Real{&c.alpha_init, 0, 10}, "",
         "initial value of alpha, the gates of hc and mhc");
}

void moe_fields(MoeConfig& c, List& to) {
  to.section("moe");
  to.add("experts", Integer{&c.experts, 1, kWide}, "", "number of routed experts per layer",
         {"num_experts", "n_routed_experts"});
  to.add("active", Integer{&c.active, 1, 256}, "", "number of routed experts per token",
         {"num_experts_per_tok", "top_k", "experts_per_token"});
  to.add("groups", Integer{&c.groups, 1, kWide}, "groups",
         "number of equally large groups that the routed experts form; 1: no groups", {"n_group"});
  to.add("active_groups", Integer{&c.active_groups, 1, kWide}, "groups",
         "number of groups that a token's experts are chosen from: those whose two best experts "
         "have the highest sum of scores",
         {"topk_group"});
  to.add("shared", Integer{&c.shared, 0, 256}, "",
         "number of shared experts, which process every token; 0: none",
         {"n_shared_experts", "shared_experts"});
  to.add("expert_dim", Integer{&c.expert_dim, 1, kWide}, "", "inner width of an expert",
         {"moe_intermediate_size"});
  to.add("scaling", Real{&c.scaling, kSmallest, 1000}, "",
         "factor applied to the weighted sum of the routed experts' outputs",
         {"routed_scaling_factor"});
  to.add("normalise", Flag{&c.normalise}, "",
         "whether the weights of a token's chosen experts are normalised to sum to 1",
         {"normalize", "norm_topk_prob"});
  to.add("bias_speed", Real{&c.bias_speed, 0, 1}, "per step",
         "amount by which an expert's balancing bias changes (arXiv 2408.15664); 0: no balancing",
         {"bias_update_speed"});
  to.add("buffer_factor", Real{&c.buffer_factor, 0.01, 64}, "times the mean load",
         "with parallel.ep above 1: capacity of the buffer for routed tokens; tokens that do not "
         "fit are processed in further rounds. With 1 the buffer has exactly the rows that are "
         "needed",
         {"capacity_factor"});
}

void train_fields(TrainConfig& c, List& to) {
  to.section("train");
  to.add("steps", Integer{&c.steps, 1, kManySteps}, "steps", "length of the training schedule",
         {"max_steps", "num_steps", "total_steps", "train_iters"});
  to.add("stop_at", Integer{&c.stop_at, 0, kManySteps}, "steps",
         "save a checkpoint and end the run after this step; 0: after train.steps");
  to.add("global_batch", Integer{&c.global_batch, 1, kMany}, "sequences",
         "number of sequences per step, over all ranks",
         {"batch_size", "global_batch_size", "batch"});
  to.add("micro_batch", Integer{&c.micro_batch, 1, kMany}, "sequences",
         "number of sequences per forward and backward pass; the last micro-batch of a step may be "
         "smaller",
         {"micro_batch_size"});
  to.add("sequence", Integer{&c.sequence, 1, kMany}, "tokens", "length of a training sequence",
         {"seq_len", "seq_length", "sequence_length", "context_length", "max_seq_len"});
  to.add("precision", one_of(c.precision), "",
         "number format of activations and matmul inputs; weights, their gradients and moments, "
         "the router and the residual coefficients are fp32 in both cases",
         {"dtype", "mixed_precision"});
  to.add("recompute",
         Integer{&c.recompute, 1, 8192, {{"none", kRecomputeNone}, {"auto", kRecomputeAuto}}},
         "sublayers",
         "recompute activations in the backward pass, in segments of this many sublayers, each "
         "from the residual state at its start; none: keep all activations; auto: the segment "
         "length that needs the least memory",
         {"activation_checkpointing", "gradient_checkpointing"});
  to.add("reduction_groups", Integer{&c.reduction_groups, 1, kMany}, "",
         "number of fixed groups in which the gradients of a step's micro-batches are summed; "
         "every number of data-parallel ranks that divides it gives bitwise identical results");
  to.add("eval_every", Integer{&c.eval_every, 0, kManySteps}, "steps",
         "interval between evaluations on held-out text; if set, the last step is evaluated too; "
         "0: never evaluate",
         {"eval_interval", "eval_steps"});
  to.add("eval_batches", Integer{&c.eval_batches, 1, kManySteps}, "micro-batches",
         "largest number of held-out micro-batches that an evaluation reads", {"eval_iters"});
  to.add("final_eval_batches", Integer{&c.final_eval_batches, 1, kManySteps, {{"all", kEvalAll}}},
         "micro-batches",
         "largest number of held-out micro-batches that the evaluation after the last step reads; "
         "all: every held-out window");
  to.add("log_every", Integer{&c.log_every, 1, kManySteps}, "steps",
         "interval between progress lines; metrics.jsonl records every step",
         {"log_interval", "logging_steps"});
  to.add("telemetry_every", Integer{&c.telemetry_every, 0, kManySteps}, "steps",
         "interval between records of residual-stream statistics in metrics.jsonl; 0: never");
}

void optim_fields(OptimConfig& c, List& to) {
  to.section("optim");
  to.add("lr", Real{&c.lr, 0, 10}, "", "base learning rate", {"learning_rate", "max_lr"});
  // Below 1: at 1 - 1e-12 bias correction still has 4 digits in doubles.
  to.add("beta1", Real{&c.beta1, 0, 0.999999999999}, "", "decay of the first moment",
         {"adam_beta1"});
  to.add("beta2", Real{&c.beta2, 0, 0.999999999999}, "", "decay of the second moment",
         {"adam_beta2"});
  to.add("eps", Real{&c.eps, kSmallest, 1}, "", "epsilon added to AdamW's denominator",
         {"adam_epsilon", "epsilon"});
  to.add("weight_decay", Real{&c.weight_decay, 0, 10}, "",
         "weight decay of matrices, multiplied by the learning rate; 0: none", {"wd"});
  to.add("weight_decay_embedding", Real{&c.weight_decay_embedding, 0, 10}, "",
         "weight decay of the embedding and the output head, multiplied by the learning rate; 0: "
         "none");
  to.add("weight_decay_phi", Real{&c.weight_decay_phi, 0, 10}, "",
         "weight decay of phi of mhc and theta of hc, multiplied by the learning rate; 0: none");
  to.add("weight_decay_static", Real{&c.weight_decay_static, 0, 10}, "",
         "weight decay of alpha and b of hc and mhc, multiplied by the learning rate; 0: none");
  to.add("weight_decay_norm", Real{&c.weight_decay_norm, 0, 10}, "",
         "weight decay of norm gains, multiplied by the learning rate; 0: none");
  to.add("clip_norm", Real{&c.clip_norm, 0, 1e9}, "",
         "largest global norm of the gradients, which are scaled down to it; 0: no clipping",
         {"grad_clip", "max_grad_norm", "clip", "gradient_clipping"});
  to.add(
      "schedule", one_of(c.schedule), "",
      "schedule of the learning rate after a linear warm-up; step: changes at optim.step_points; "
      "cosine: cosine decay; constant: no change; wsd: constant, then linear decay",
      {"lr_schedule", "lr_scheduler"});
  to.add("warmup_steps", Integer{&c.warmup_steps, 0, kManySteps}, "steps",
         "length of the linear warm-up of the learning rate; 0: no warm-up",
         {"warmup", "lr_warmup_iters"});
  to.add("step_points", Reals{&c.step_points, 0, 1}, "fraction of train.steps",
         "schedule step: points after which the learning rate changes, in ascending order");
  to.add("step_factors", Reals{&c.step_factors, 0, 10}, "fraction of optim.lr",
         "schedule step: learning rate after each of optim.step_points");
  to.add("min_lr_fraction", Real{&c.min_lr_fraction, 0, 1}, "fraction of optim.lr",
         "schedules cosine and wsd: learning rate of the last step", {"min_lr"});
  to.add("decay_fraction", Real{&c.decay_fraction, 0, 1}, "fraction of train.steps",
         "schedule wsd: length of the final part, over which the learning rate falls");
}

void checkpoint_fields(CheckpointConfig& c, List& to) {
  to.section("checkpoint");
  to.add("every", Integer{&c.every, 0, kManySteps}, "steps",
         "interval between checkpoints; 0: save only at the end of the run",
         {"save_every", "save_interval", "save_steps"});
  to.add("keep", Integer{&c.keep, 2, kManySteps, {{"all", kKeepAll}}}, "checkpoints",
         "number of newest checkpoints to keep; older ones are deleted; all: delete none",
         {"save_total_limit", "keep_last"});
  to.add("on_error", one_of(c.on_error), "",
         "what to do after a failed save: continue training, or stop the run");
}

void parallel_fields(ParallelConfig& c, List& to) {
  to.section("parallel");
  to.add("pp", Integer{&c.pp, 1, 4096}, "ranks", "number of pipeline stages",
         {"pipeline_parallel", "pipeline_model_parallel_size"});
  to.add("tp", Integer{&c.tp, 1, 4096}, "ranks",
         "number of ranks that share each layer's matrices (tensor parallelism)",
         {"tensor_parallel", "tensor_model_parallel_size"});
  to.add("ep", Integer{&c.ep, 1, 4096}, "ranks",
         "number of ranks that share each layer's experts (expert parallelism)",
         {"expert_parallel", "expert_model_parallel_size"});
  to.add("chunks", Integer{&c.chunks, 1, 64}, "", "number of model chunks per pipeline stage",
         {"virtual_stages"});
  to.add("zero", Integer{&c.zero, 0, 1}, "",
         "0: every rank holds the whole optimizer state; 1: the data-parallel ranks share it",
         {"zero_stage"});
  to.add("schedule", one_of(c.schedule), "", "schedule of the pipeline", {"pipeline_schedule"});
}

}  // namespace

std::span<const Section> config_sections() { return kSections; }

std::vector<Field> fields_of(Config& c) {
  List list;
  top_fields(c, list);
  run_fields(c.run, list);
  data_fields(c.data, list);
  model_fields(c.model, list);
  moe_fields(c.moe, list);
  train_fields(c.train, list);
  optim_fields(c.optim, list);
  checkpoint_fields(c.checkpoint, list);
  parallel_fields(c.parallel, list);
  return std::move(list.fields);
}

}  // namespace birkhoff
