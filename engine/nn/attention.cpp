#include "engine/nn/functional.h"
#include "engine/nn/modules.h"
#include "engine/nn/rotary.h"

namespace birkhoff::nn {
namespace {

Cache caches(const Trace& t, const std::string& name) {
  const ModelConfig& m = t.config.model;
  const auto state = [&](const char* which, int64_t width) {
    return t.program.add(Kind::state, name + which, {{t.cache, width}, t.program.dtype});
  };
  return {state(".k_cache", m.heads * (m.nope_dim + m.rope_dim)),
          state(".v_cache", m.heads * m.v_dim), t.length};
}

// The input of the query projection: the latent, [T, q_rank], or x itself where there is no latent.
Value query_input(const Trace& t, Value x, const std::string& name) {
  const ModelConfig& m = t.config.model;
  if (m.q_rank == 0) return x;
  const Value latent = linear(x, parameter_matrix(t, name + ".q_a_proj.weight", m.q_rank, m.dim));
  return norm(t, latent, name + ".q_a_layernorm.weight", m.kv_norm_eps);
}

}  // namespace

Value parameter_matrix(const Trace& t, const std::string& name, int64_t rows, int64_t columns) {
  return t.program.parameter({.name = name,
                              .shape = {rows, columns},
                              .init = {Init::Rule::normal, t.config.model.init_std}});
}

Value norm(const Trace& t, Value x, const std::string& name, double eps) {
  const Value gain = t.program.parameter({.name = name,
                                          .shape = {x.shape()[1]},
                                          .decay = Decay::norm,
                                          .init = {Init::Rule::constant, 1.0},
                                          .reduced_over = kDp | kTp});
  return rms_norm(x, gain, eps);
}

Value mla(const Trace& t, Value x, const std::string& name) {
  const ModelConfig& m = t.config.model;
  const Value c_q = query_input(t, x, name);
  const Value w_q =
      parameter_matrix(t, name + (m.q_rank ? ".q_b_proj.weight" : ".q_proj.weight"),
                       m.heads * (m.nope_dim + m.rope_dim), m.q_rank ? m.q_rank : m.dim);
  const Value w_kv_a =
      parameter_matrix(t, name + ".kv_a_proj_with_mqa.weight", m.kv_rank + m.rope_dim, m.dim);
  const Value q = rope(linear(c_q, w_q), t.position, rotary(m, m.heads));

  const auto [latent, k_rope] = split(linear(x, w_kv_a), m.kv_rank);  // [T, rank], [T, rope]
  const Value c = norm(t, latent, name + ".kv_a_layernorm.weight", m.kv_norm_eps);
  const Value w_kv_b =
      parameter_matrix(t, name + ".kv_b_proj.weight", m.heads * (m.nope_dim + m.v_dim), m.kv_rank);
  const KeysValues kv =
      mla_keys(linear(c, w_kv_b), rope(k_rope, t.position, rotary(m, 1)), m.heads, m.nope_dim);

  const Attention a{m.heads, t.sequence, attention_scale(m)};
  const Value o = t.cache ? attention_cached(q, kv, caches(t, name), a)
                          : attention(q, kv, t.first_key, a);  // [T, H·v]
  return linear(o, parameter_matrix(t, name + ".o_proj.weight", m.dim, m.heads * m.v_dim));
}

}  // namespace birkhoff::nn
