#pragma once
// The paper's model from its config: MLA and MoE blocks with a chosen residual (arXiv 2512.24880,
// Table 5). Only traces: no memory, no values.
#include <vector>

#include "engine/autograd/program.h"
#include "engine/config/config.h"
#include "engine/nn/residual.h"

namespace birkhoff {

// The dtype in which a config's activations are stored: that of the programs that trace it.
inline DType activations_of(const Config& c) {
  return c.train.precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

// What the host fills and reads in one trace.
struct ModelIo {
  // Inputs, i32 [T], as in Batch (engine/data/samples.h): a row with position −1 is padding, one
  // with target −1 does not count in the loss.
  Value token, target, position, first_key;
  Value scale;                    // constant, f32 [1]: 1 / valid tokens of the step
  Value nll;                      // f32 [T]: −log p(target), 0 where target is −1
  Value loss;                     // accumulator, f64 [1]: Σ scale·nll
  std::vector<Opened> sublayers;  // in order; tests read H_res
  // Only in training with residual streams and train.telemetry_every > 0: a constant, i32 [1],
  // whether this step's statistics are wanted, and their accumulators by sublayer
  // (kernels/stream_statistics.h).
  Value telemetry;
  std::vector<Value> statistics;
  Value last;  // the residual state after the last sublayer
};

// Traces micro_batch sequences: the forward list with its loss; expert load accumulates. REQUIRES a
// fresh program; differentiate it with `loss`.
ModelIo trace_training(Program& program, const Config& config);

// Traces `sequences` sequences of `sequence` tokens; `nll` is an output, and there is no loss. For
// evaluation and score.
ModelIo trace_scoring(Program& program, const Config& config, int64_t sequences, int64_t sequence);

// Traces `tokens` further tokens of one sequence whose first `length` tokens are in the caches. The
// logits of all further tokens are an output.
struct DecodeIo {
  Value token, position;  // inputs, i32 [tokens]
  Value length;           // input, i32 [1]
  Value logits;           // output, f32 [tokens, V]
};
DecodeIo trace_decode(Program& program, const Config& config, int64_t tokens, int64_t cache);

struct ParameterCount {
  int64_t total = 0, active = 0, hyper_connections = 0;
};
// Total counts every parameter (the balancing bias is a buffer). Active leaves out the embedding
// (of the two vocabulary matrices only the head counts) and routed experts that a token does not
// use. hyper_connections counts the parameters of hc or mhc, read-out included.
ParameterCount count_parameters(const Config& config);

}  // namespace birkhoff
