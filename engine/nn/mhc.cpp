#include "kernels/mhc.h"
#include "engine/nn/residuals.h"
#include "kernels/readout.h"
#include "kernels/streams.h"

namespace birkhoff {
namespace {

// b = b_pre | b_post | b_res. b_pre is −3 but +3 on stream k mod n, k counted through the whole
// model, so that equal streams part; b_post = 0 makes H_post = 1; b_res = 6I − 3 (PaddleFleet's
// appendix A.6).
ParameterSpec bias_spec(const std::string& name, int64_t n, int64_t sublayer) {
  using Rule = Init::Rule;
  const Init pre{.rule = Rule::one_hot, .value = -3, .peak = 3, .index = sublayer % n};
  const Init post{.rule = Rule::constant, .value = 0};
  const Init res{.rule = Rule::diagonal, .value = -3, .peak = 3};
  return {.name = name + ".b",
          .shape = {n * n + 2 * n},
          .decay = Decay::fixed,
          .parts = {{name + ".b_pre", {n}, pre},
                    {name + ".b_post", {n}, post},
                    {name + ".b_res", {n, n}, res}},
          .reduced_over = kDp | kTp};
}

}  // namespace

Value MhcResidual::prepare(Value embedding) const {
  return embedding.program->emit(kCopyStreams, {embedding},
                                 StreamsDesc{.n = int(config_.streams)})[0];
}

Opened MhcResidual::open(Value x, const std::string& name, int64_t sublayer) const {
  Program& p = *x.program;
  const int64_t n = config_.streams, k = n * n + 2 * n;
  const Value phi = p.parameter({.name = name + ".phi",
                                 .shape = {n * config_.dim, k},
                                 .decay = Decay::phi,
                                 .init = {Init::Rule::constant, 0},
                                 .reduced_over = kDp | kTp});
  const Value alpha = p.parameter({.name = name + ".alpha",
                                   .shape = {3},
                                   .decay = Decay::fixed,
                                   .init = {Init::Rule::constant, config_.alpha_init},
                                   .reduced_over = kDp | kTp});
  const Value b = p.parameter(bias_spec(name, n, sublayer));
  const MhcDesc desc{
      .n = int(n),
      .eps = config_.norm_eps,
      .iterations = int(config_.sinkhorn_iterations),
      .sinkhorn = config_.sinkhorn == SinkhornKind::v4 ? SinkhornForm::v4 : SinkhornForm::paper};
  const auto out = p.emit(kMhcOpen, {x, phi, alpha, b}, desc);
  return {.h = out[MhcOpen::h],
          .link = out[MhcOpen::link],
          .post = out[MhcOpen::post],
          .res = out[MhcOpen::res]};
}

Value MhcResidual::close(const Opened& o, Value f) const {
  return f.program->emit(kMhcClose, {o.link, f, o.post, o.res},
                         StreamsDesc{.n = int(config_.streams)})[0];
}

Value MhcResidual::read_out(Value x) const {
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

}  // namespace birkhoff
