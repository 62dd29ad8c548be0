// Shared by hc and mhc: how n residual streams begin and are read out, and how F is written back.
#include "kernels/streams.h"

#include "engine/nn/residuals.h"
#include "kernels/mhc.h"
#include "kernels/readout.h"

namespace birkhoff {

Value StreamsResidual::prepare(Value embedding) const {
  return embedding.program->emit(kCopyStreams, {embedding},
                                 StreamsDesc{.n = int(config_.streams)})[0];
}

Value StreamsResidual::close(const Opened& o, Value f) const {
  return f.program->emit(kMhcClose, {o.link, f, o.post, o.res},
                         StreamsDesc{.n = int(config_.streams)})[0];
}

Value StreamsResidual::read_out(Value x) const {
  Program& p = *x.program;
  const int64_t n = config_.streams;
  if (config_.readout != ReadoutKind::learned)
    return p.emit(config_.readout == ReadoutKind::mean ? kMeanStreams : kSumStreams, {x},
                  StreamsDesc{.n = int(n)})[0];
  const auto parameter = [&](const char* name, Shape shape, Decay decay, double value) {
    return p.parameter({.name = std::string("model.readout.") + name,
                        .shape = std::move(shape),
                        .decay = decay,
                        .init = {Init::Rule::constant, value},
                        .reduced_over = kDp | kTp});
  };
  const Value w = parameter("w", {n * config_.dim, n}, Decay::phi, 0);
  const Value scale = parameter("scale", {1}, Decay::fixed, config_.alpha_init);
  const Value base = parameter("base", {n}, Decay::fixed, 0);
  return p.emit(kReadout, {x, w, scale, base},
                ReadoutDesc{.n = int(n), .eps = config_.norm_eps})[0];
}

Value StreamsResidual::alpha(Program& p, const std::string& name) const {
  return p.parameter({.name = name + ".alpha",
                      .shape = {3},
                      .decay = Decay::fixed,
                      .init = {Init::Rule::constant, config_.alpha_init},
                      .reduced_over = kDp | kTp});
}

Value StreamsResidual::bias(Program& p, const std::string& name, int64_t sublayer,
                            const BiasStart& start) const {
  using Rule = Init::Rule;
  const int64_t n = config_.streams;
  const Init pre{.rule = Rule::one_hot,
                 .value = start.pre_other,
                 .peak = start.pre_own,
                 .index = sublayer % n};
  const Init post{.rule = Rule::constant, .value = start.post};
  const Init res{.rule = Rule::diagonal, .value = start.res_other, .peak = start.res_own};
  return p.parameter({.name = name + ".b",
                      .shape = {n * n + 2 * n},
                      .decay = Decay::fixed,
                      .parts = {{name + ".b_pre", {n}, pre},
                                {name + ".b_post", {n}, post},
                                {name + ".b_res", {n, n}, res}},
                      .reduced_over = kDp | kTp});
}

}  // namespace birkhoff
