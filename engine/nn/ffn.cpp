#include <algorithm>

#include "engine/nn/functional.h"
#include "engine/nn/modules.h"

namespace birkhoff::nn {
namespace {

// Gate and up matrices of all experts, stacked so that one product computes both: [E, 2F, C].
ParameterSpec gate_up_spec(const Trace& t, const std::string& name,
                           const std::vector<std::string>& experts, int64_t width) {
  const Init init{Init::Rule::normal, t.config.model.init_std};
  const int64_t dim = t.config.model.dim;
  ParameterSpec spec{.name = name, .shape = {2 * width, dim}};
  if (experts.size() > 1) spec.shape.insert(spec.shape.begin(), int64_t(experts.size()));
  for (const std::string& expert : experts)
    for (const char* part : {".gate_proj.weight", ".up_proj.weight"})
      spec.parts.push_back({expert + part, {width, dim}, init});
  return spec;
}

}  // namespace

Value dense_ffn(const Trace& t, Value x, const std::string& name, int64_t width, Value base) {
  const Value gate_up =
      t.program.parameter(gate_up_spec(t, name + ".gate_up.weight", {name}, width));
  const Value down = parameter_matrix(t, name + ".down_proj.weight", t.config.model.dim, width);
  return linear(swiglu(linear(x, gate_up)), down, base);
}

Value moe(const Trace& t, Value x, const std::string& name, int layer) {
  const MoeConfig& m = t.config.moe;
  const int64_t dim = t.config.model.dim;
  Program& p = t.program;

  Program::Scope phase = p.phase({Phase::Part::route, layer});
  const auto enter = [&](Phase::Part part) {
    phase.reset();  // first: a scope that ends restores the phase it found
    phase = p.phase({part, layer});
  };
  const Value logits = router_logits(x, parameter_matrix(t, name + ".gate.weight", m.experts, dim));
  const Value bias =
      p.add(Kind::state, name + ".gate.e_score_correction_bias", {{m.experts}, DType::f32});
  const Value load = t.training
                         ? p.add(Kind::accumulator, name + ".gate.load", {{m.experts}, DType::i32})
                         : Value();
  const Routed routed = route(logits, bias, t.position, load,
                              {m.active, m.scaling, m.normalise, m.groups, m.active_groups});

  std::vector<std::string> experts;
  ParameterSpec down_spec{.name = name + ".experts.down", .shape = {m.experts, dim, m.expert_dim}};
  for (int64_t e = 0; e < m.experts; ++e) {
    experts.push_back(fmt::format("{}.experts.{}", name, e));
    down_spec.parts.push_back({experts.back() + ".down_proj.weight",
                               {dim, m.expert_dim},
                               {Init::Rule::normal, t.config.model.init_std}});
  }
  ParameterSpec gate_up_parts = gate_up_spec(t, name + ".experts.gate_up", experts, m.expert_dim);
  if (m.experts == 1) gate_up_parts.shape.insert(gate_up_parts.shape.begin(), 1);
  const Value gate_up = p.parameter(gate_up_parts), down = p.parameter(down_spec);

  enter(Phase::Part::experts);
  const int64_t pairs = t.tokens * m.active;
  const auto one_round = [&](int64_t capacity) -> Program::Round {
    const Layout layout = route_layout(routed.expert, m.experts, capacity);
    const Value buffer = dispatch(x, layout);  // [capacity, C]
    const Value hidden = swiglu(grouped_linear(buffer, layout, gate_up), layout.offsets);
    const Value out = grouped_linear(hidden, layout, down);
    return {combine(out, routed.weight, layout), layout.rounds};
  };
  // Without expert parallelism a rank keeps every routed pair: a buffer of all of them is filled
  // exactly, and one round is known to do. With it, what a rank receives depends on data; whatever
  // does not fit its buffer goes in further rounds, so no token is dropped.
  Value y;
  if (t.config.parallel.ep == 1) {
    y = one_round(pairs).y;
  } else {
    const auto wanted = int64_t(m.buffer_factor * double(pairs));
    y = p.rounds([&] { return one_round(std::clamp(wanted, m.active, pairs)); });
  }
  if (m.shared == 0) return y;
  enter(Phase::Part::ffn);
  return dense_ffn(t, x, name + ".shared_experts", m.shared * m.expert_dim, y);
}

}  // namespace birkhoff::nn
