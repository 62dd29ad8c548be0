#pragma once
// The modules of a DeepSeek-V3-style block (arXiv 2412.19437 §2.1): each traces operators on
// symbolic values and makes its parameters under frozen names (docs/formats/checkpoint.md).
//
// F of a sublayer is its own RMSNorm, then attention or FFN; the residual connects them.
#include <string>

#include "engine/autograd/program.h"
#include "engine/config/config.h"

namespace birkhoff::nn {

// What every module of one trace shares.
struct Trace {
  Program& program;
  const Config& config;
  int64_t tokens;             // T, tokens of a micro-batch
  int64_t sequence;           // tokens of one sequence
  bool training;              // accumulate expert load
  Value position, first_key;  // i32 [T]; a row with position −1 is padding
  int64_t cache = 0;          // > 0: sampling, with key and value caches of that many rows
  Value length = {};          // i32 [1]: number of filled cache rows; with a cache only
  Value telemetry = {};       // i32 [1]: residual stream statistics wanted; absent: never
};

Value parameter_matrix(const Trace& t, const std::string& name, int64_t rows, int64_t columns);
// RMSNorm with its own gain.
Value norm(const Trace& t, Value x, const std::string& name, double eps);

// Multi-head latent attention (arXiv 2405.04434 §2.1), queries through a latent if model.q_rank is
// not 0: x [T, C] → [T, C].
Value mla(const Trace& t, Value x, const std::string& name);

// SwiGLU FFN: x [T, C] → [T, C]; with a base: base + FFN(x).
Value dense_ffn(const Trace& t, Value x, const std::string& name, int64_t width, Value base = {});

// Routed and shared experts, sigmoid routing, loss-free balancing (arXiv 2408.15664): x [T, C] →
// [T, C]. Rows of padding get no routed expert. Its phases, route, experts and ffn, carry the
// layer's number.
Value moe(const Trace& t, Value x, const std::string& name, int layer);

}  // namespace birkhoff::nn
