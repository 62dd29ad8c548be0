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
    {"run", "Where the run lives, and how it starts"},
    {"data", "What it reads"},
    {"model", "The model's shape"},
    {"moe", "Mixture of experts"},
    {"train", "Batches, steps, memory"},
    {"optim", "AdamW and its learning rate"},
    {"checkpoint", "Saving"},
    {"parallel", "The layout over ranks; data parallelism is what remains of the world"},
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
  to.add("seed", Unsigned{&c.seed}, "", "initial values and sample order follow from it",
         {"random_seed", "manual_seed"});
  to.add("device", one_of(c.device), "", "what computes; auto: the CPU, until a GPU can train");
}

void run_fields(RunConfig& c, List& to) {
  to.section("run");
  to.add("dir", Text{&c.dir}, "path", "the run directory, relative to where the command runs",
         {"output_dir", "out_dir", "run_dir"});
  to.add("resume", one_of(c.resume), "",
         "auto: from the newest checkpoint in run.dir, else from step 1; must: fail if there is "
         "none; never: fail if run.dir holds a run");
  to.add("allow_changes", Allowed{&c.allow_changes}, "",
         "keys that may differ from the checkpoint's on resume, as far as the tensors fit, "
         "data.path for other data; true: every key. The differences are logged");
  to.add("timeout", Integer{&c.timeout, 0, 86400}, "seconds",
         "without a sign of work from a rank, after which the run is ended; 0: five times the "
         "slowest step, at least 60");
  to.add("threads", Integer{&c.threads, 0, 1024}, "threads",
         "of each rank; 0: its share of the cores that the process may use, by its affinity and "
         "its CPU quota. Results do not depend on it",
         {"num_threads", "workers"});
}

void data_fields(DataConfig& c, List& to) {
  to.section("data");
  to.add("source", one_of(c.source), "",
         "files: the token dataset at data.path; random: uniform tokens from the seed");
  to.add("path", Text{&c.path}, "path",
         "prefix of a token dataset, PATH.bin and PATH.idx, as birkhoff data prepare writes it",
         {"dataset", "data_path", "train_data"});
  to.add("validation_fraction", Real{&c.validation_fraction, 0, 0.5}, "of the tokens",
         "held out for evaluation, whole documents; which ones is chosen by the seed",
         {"val_fraction", "holdout"});
  to.add("cross_documents", Flag{&c.cross_documents}, "",
         "whether attention may look across document borders");
  to.add("predict_across_documents", Flag{&c.predict_across_documents}, "",
         "whether the first token of the next document is a target");
  to.add("prefetch", Integer{&c.prefetch, 1, 64}, "batches", "loaded ahead", {"prefetch_factor"});
}

// Keys of model.rope_scaling: yarn (arXiv 2309.00071), with the values of transformers' keys.
void yarn_fields(ModelConfig& c, List& to) {
  to.add(
      "rope_scaling", one_of(c.rope_scaling), "",
      "how rotary frequencies are changed for a longer context; yarn: arXiv 2309.00071, with the "
      "model.rope_ keys that follow, which do nothing without it");
  to.add("rope_factor", Real{&c.rope_factor, 1, 1e6}, "",
         "yarn: how many times longer the context becomes");
  to.add("rope_original_positions", Integer{&c.rope_original_positions, 1, 1 << 30}, "tokens",
         "yarn: length of the context before it was extended",
         {"original_max_position_embeddings"});
  to.add("rope_beta_fast", Real{&c.rope_beta_fast, 0, 1e6, Bounds::above_min}, "turns",
         "yarn: frequencies with at least that many turns in the original context are kept",
         {"beta_fast"});
  to.add("rope_beta_slow", Real{&c.rope_beta_slow, 0, 1e6, Bounds::above_min}, "turns",
         "yarn: frequencies with at most that many are divided by model.rope_factor",
         {"beta_slow"});
  to.add("rope_mscale", Real{&c.rope_mscale, 0, 100}, "",
         "yarn: weight of ln(model.rope_factor) in the size of rotated features; counts only where "
         "model.rope_mscale_all_dim is given too, else the weight is 1; 0: not given",
         {"mscale"});
  to.add("rope_mscale_all_dim", Real{&c.rope_mscale_all_dim, 0, 100}, "",
         "yarn: weight of ln(model.rope_factor) in the scale of attention; divides the size of "
         "rotated features; 0: not given",
         {"mscale_all_dim"});
  to.add("rope_attention_factor", Real{&c.rope_attention_factor, 0, 1000}, "",
         "yarn: size of rotated features; 0: follows from model.rope_factor and the mscale keys",
         {"attention_factor"});
  to.add("rope_truncate", Flag{&c.rope_truncate}, "",
         "yarn: whether the range between kept and divided frequencies is widened to whole pairs",
         {"truncate"});
}

void model_fields(ModelConfig& c, List& to) {
  to.section("model");
  to.add("vocab", Integer{&c.vocab, 2, 1 << 24}, "tokens", "size of the vocabulary",
         {"vocab_size", "n_vocab"});
  to.add("dim", Integer{&c.dim, 1, kWide}, "", "width C of a residual stream",
         {"hidden_size", "d_model", "n_embd", "embed_dim"});
  to.add("layers", Integer{&c.layers, 1, 4096}, "", "blocks of attention and FFN",
         {"num_layers", "num_hidden_layers", "n_layer", "depth"});
  to.add("dense_layers", Integer{&c.dense_layers, 0, 4096}, "",
         "the leading blocks whose FFN is dense", {"first_k_dense_replace", "n_dense_layers"});
  to.add("heads", Integer{&c.heads, 1, 4096}, "", "attention heads",
         {"num_heads", "num_attention_heads", "n_head"});
  to.add("nope_dim", Integer{&c.nope_dim, 1, 4096}, "", "a head's q and k width without position",
         {"qk_nope_head_dim"});
  to.add("rope_dim", Integer{&c.rope_dim, 2, 4096}, "",
         "a head's q and k width with rotary position; even", {"qk_rope_head_dim"});
  to.add("v_dim", Integer{&c.v_dim, 1, 4096}, "", "a head's v width", {"v_head_dim"});
  to.add("kv_rank", Integer{&c.kv_rank, 1, kWide}, "", "width of the latent that k and v come from",
         {"kv_lora_rank"});
  to.add("q_rank", Integer{&c.q_rank, 0, kWide}, "",
         "width of the latent that queries come from; 0: queries are projected from the input",
         {"q_lora_rank"});
  to.add("rope_theta", Real{&c.rope_theta, 1, 1e12, Bounds::above_min}, "",
         "base of the rotary frequencies", {"rotary_base"});
  yarn_fields(c, to);
  to.add("dense_ffn_dim", Integer{&c.dense_ffn_dim, 0, 1 << 20}, "",
         "inner width of a dense FFN; 0: 8 × moe.expert_dim", {"intermediate_size"});
  to.add("norm_eps", Real{&c.norm_eps, kSmallest, 1}, "",
         "epsilon of every RMSNorm except those of the latents (model.kv_norm_eps)",
         {"rms_norm_eps", "layer_norm_eps"});
  to.add("kv_norm_eps", Real{&c.kv_norm_eps, kSmallest, 1}, "",
         "epsilon of the RMSNorms of the kv latent and, with model.q_rank, of the q latent");
  to.add("residual", one_of(c.residual), "",
         "plain: one stream; hc: hyper-connections; mhc: manifold-constrained ones");
  to.add("streams", Integer{&c.streams, 1, 16}, "", "residual streams n of hc and mhc",
         {"hc_mult", "num_streams", "expansion_rate"});
  to.add("hc", one_of(c.hc), "",
         "dynamic: hc's gates follow the token; static: they are parameters alone");
  to.add("sinkhorn", one_of(c.sinkhorn), "",
         "which form of the projection mhc uses: arXiv 2512.24880 or 2606.19348");
  to.add("sinkhorn_iterations", Integer{&c.sinkhorn_iterations, 1, 1000}, "",
         "column and row normalisations", {"hc_sinkhorn_iters"});
  to.add("readout", one_of(c.readout), "",
         "how the streams become one behind the last block; mean: what import chooses for a plain "
         "model that gains streams");
  to.add("init_std", Real{&c.init_std, 0, 10}, "", "of the matrices' initial values",
         {"initializer_range"});
  to.add("alpha_init", Real{&c.alpha_init, 0, 10}, "", "initial gates of hc and mhc");
}

void moe_fields(MoeConfig& c, List& to) {
  to.section("moe");
  to.add("experts", Integer{&c.experts, 1, kWide}, "", "routed experts of a layer",
         {"num_experts", "n_routed_experts"});
  to.add("active", Integer{&c.active, 1, 256}, "", "routed experts of a token",
         {"num_experts_per_tok", "top_k", "experts_per_token"});
  to.add("groups", Integer{&c.groups, 1, kWide}, "groups",
         "the routed experts form this many groups of equal size; 1: no groups", {"n_group"});
  to.add("active_groups", Integer{&c.active_groups, 1, kWide}, "groups",
         "each token's experts come from this many groups, those whose two best experts score "
         "highest together",
         {"topk_group"});
  to.add("shared", Integer{&c.shared, 0, 256}, "", "experts that see every token",
         {"n_shared_experts", "shared_experts"});
  to.add("expert_dim", Integer{&c.expert_dim, 1, kWide}, "", "inner width of an expert",
         {"moe_intermediate_size"});
  to.add("scaling", Real{&c.scaling, kSmallest, 1000}, "", "factor of the routed experts' sum",
         {"routed_scaling_factor"});
  to.add("normalise", Flag{&c.normalise}, "",
         "whether the weights of the chosen experts are made to sum to 1",
         {"normalize", "norm_topk_prob"});
  to.add("bias_speed", Real{&c.bias_speed, 0, 1}, "a step",
         "change of the balancing bias (arXiv 2408.15664); 0: no balancing", {"bias_update_speed"});
  to.add("buffer_factor", Real{&c.buffer_factor, 0.01, 64}, "of the mean load",
         "with parallel.ep above 1: capacity of the buffer of routed tokens; tokens that do not "
         "fit go "
         "in further rounds; with 1 the buffer has exactly the rows that are needed",
         {"capacity_factor"});
}

void train_fields(TrainConfig& c, List& to) {
  to.section("train");
  to.add("steps", Integer{&c.steps, 1, kManySteps}, "steps", "of the schedule",
         {"max_steps", "num_steps", "total_steps", "train_iters"});
  to.add("stop_at", Integer{&c.stop_at, 0, kManySteps}, "steps",
         "end after this step, with a checkpoint; 0: train.steps");
  to.add("global_batch", Integer{&c.global_batch, 1, kMany}, "sequences", "of a step",
         {"batch_size", "global_batch_size", "batch"});
  to.add("micro_batch", Integer{&c.micro_batch, 1, kMany}, "sequences",
         "of one pass; the last of a step may be smaller", {"micro_batch_size"});
  to.add("sequence", Integer{&c.sequence, 1, kMany}, "tokens", "length of a sequence",
         {"seq_len", "seq_length", "sequence_length", "context_length", "max_seq_len"});
  to.add("precision", one_of(c.precision), "",
         "of activations and matmul inputs; weights, their gradients and moments, the router and "
         "the residual's coefficients are fp32 in either",
         {"dtype", "mixed_precision"});
  to.add("recompute",
         Integer{&c.recompute, 1, 8192, {{"none", kRecomputeNone}, {"auto", kRecomputeAuto}}},
         "sublayers",
         "length of a block that is recomputed from its first residual state; auto: the length "
         "that needs least memory",
         {"activation_checkpointing", "gradient_checkpointing"});
  to.add("reduction_groups", Integer{&c.reduction_groups, 1, kMany}, "",
         "fixed groups that a step's micro-batches are summed in, so that every data-parallel "
         "degree that divides it gives the same bits");
  to.add("eval_every", Integer{&c.eval_every, 0, kManySteps}, "steps",
         "between evaluations; 0: never", {"eval_interval", "eval_steps"});
  to.add("eval_batches", Integer{&c.eval_batches, 1, kManySteps}, "micro-batches",
         "of held-out text an evaluation reads, at most", {"eval_iters"});
  to.add("final_eval_batches", Integer{&c.final_eval_batches, 1, kManySteps, {{"all", kEvalAll}}},
         "micro-batches",
         "held-out windows of the evaluation behind the last step; all: every one");
  to.add("log_every", Integer{&c.log_every, 1, kManySteps}, "steps",
         "between progress lines; metrics.jsonl has every step", {"log_interval", "logging_steps"});
  to.add("telemetry_every", Integer{&c.telemetry_every, 0, kManySteps}, "steps",
         "between records of what the residual streams do, in metrics.jsonl; 0: never");
}

void optim_fields(OptimConfig& c, List& to) {
  to.section("optim");
  to.add("lr", Real{&c.lr, 0, 10}, "", "base learning rate", {"learning_rate", "max_lr"});
  // Below 1: at 1 - 1e-12 bias correction still has 4 digits in doubles.
  to.add("beta1", Real{&c.beta1, 0, 0.999999999999}, "", "decay of the first moment",
         {"adam_beta1"});
  to.add("beta2", Real{&c.beta2, 0, 0.999999999999}, "", "decay of the second moment",
         {"adam_beta2"});
  to.add("eps", Real{&c.eps, kSmallest, 1}, "", "of AdamW's denominator",
         {"adam_epsilon", "epsilon"});
  to.add("weight_decay", Real{&c.weight_decay, 0, 10}, "", "of matrices, times the learning rate",
         {"wd"});
  to.add("weight_decay_embedding", Real{&c.weight_decay_embedding, 0, 10}, "",
         "of the embedding and the head");
  to.add("weight_decay_phi", Real{&c.weight_decay_phi, 0, 10}, "", "of mhc's phi and hc's theta");
  to.add("weight_decay_static", Real{&c.weight_decay_static, 0, 10}, "",
         "of alpha and b of hc and mhc");
  to.add("weight_decay_norm", Real{&c.weight_decay_norm, 0, 10}, "", "of norm gains");
  to.add("clip_norm", Real{&c.clip_norm, 0, 1e9}, "",
         "gradients are scaled down to this global norm; 0: never",
         {"grad_clip", "max_grad_norm", "clip", "gradient_clipping"});
  to.add("schedule", one_of(c.schedule), "",
         "of the learning rate, behind a linear warm-up; wsd: constant, then linear decay",
         {"lr_schedule", "lr_scheduler"});
  to.add("warmup_steps", Integer{&c.warmup_steps, 0, kManySteps}, "steps",
         "the learning rate rises linearly over them", {"warmup", "lr_warmup_iters"});
  to.add("step_points", Reals{&c.step_points, 0, 1}, "of train.steps",
         "step: where the learning rate changes; ascending");
  to.add("step_factors", Reals{&c.step_factors, 0, 10}, "of optim.lr",
         "step: the learning rate behind each of step_points");
  to.add("min_lr_fraction", Real{&c.min_lr_fraction, 0, 1}, "of optim.lr",
         "cosine, wsd: the learning rate of the last step", {"min_lr"});
  to.add("decay_fraction", Real{&c.decay_fraction, 0, 1}, "of train.steps",
         "wsd: the last part, in which the learning rate falls");
}

void checkpoint_fields(CheckpointConfig& c, List& to) {
  to.section("checkpoint");
  to.add("every", Integer{&c.every, 0, kManySteps}, "steps",
         "between checkpoints; 0: only at the end", {"save_every", "save_interval", "save_steps"});
  to.add("keep", Integer{&c.keep, 2, kManySteps, {{"all", kKeepAll}}}, "checkpoints",
         "the newest ones that are not deleted", {"save_total_limit", "keep_last"});
  to.add("on_error", one_of(c.on_error), "", "whether a failed save ends the run");
}

void parallel_fields(ParallelConfig& c, List& to) {
  to.section("parallel");
  to.add("pp", Integer{&c.pp, 1, 4096}, "ranks", "pipeline stages",
         {"pipeline_parallel", "pipeline_model_parallel_size"});
  to.add("tp", Integer{&c.tp, 1, 4096}, "ranks", "that share a layer's matrices",
         {"tensor_parallel", "tensor_model_parallel_size"});
  to.add("ep", Integer{&c.ep, 1, 4096}, "ranks", "that share a layer's experts",
         {"expert_parallel", "expert_model_parallel_size"});
  to.add("chunks", Integer{&c.chunks, 1, 64}, "", "model chunks of a pipeline stage",
         {"virtual_stages"});
  to.add("zero", Integer{&c.zero, 0, 1}, "", "1: optimizer state is split over data parallelism",
         {"zero_stage"});
  to.add("schedule", one_of(c.schedule), "", "of the pipeline", {"pipeline_schedule"});
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
