#include "engine/model/model.h"

#include <algorithm>
#include <cmath>

#include "engine/nn/functional.h"
#include "engine/nn/modules.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

// Sublayers per recompute block, 0 for none. Auto: L_r* ≈ sqrt(n·L/(n+2)) with one micro-batch in
// flight (arXiv 2512.24880 §4.3.2).
int64_t recompute_block(const Config& c) {
  if (c.train.recompute != kRecomputeAuto) return c.train.recompute;
  const double n = c.model.residual == ResidualKind::plain ? 1 : double(c.model.streams);
  const double sublayers = 2 * double(c.model.layers);
  return std::max<int64_t>(1, std::llround(std::sqrt(n * sublayers / (n + 2))));
}

// Traces the embedding, the blocks and the normed read-out of one program.
class Tracer {
 public:
  explicit Tracer(const nn::Trace& t)
      : t_(t), p_(t.program), c_(t.config), residual_(make_residual(t.config.model)) {}

  // Returns the normed read-out, [T, C].
  Value hidden(Value token) {
    Value x = residual_->prepare(nn::embedding(token, vocabulary("model.embed_tokens.weight")));
    for (int layer = 0; layer < int(c_.model.layers); ++layer) x = block(x, layer);
    last = x;
    const auto phase = p_.phase({Phase::Part::head, -1});
    return nn::norm(t_, residual_->read_out(x), "model.norm.weight", c_.model.norm_eps);
  }

  Value vocabulary(const std::string& name) {  // [V, C]
    return p_.parameter({.name = name,
                         .shape = {c_.model.vocab, c_.model.dim},
                         .decay = Decay::embedding,
                         .init = {Init::Rule::normal, c_.model.init_std}});
  }

  std::vector<Opened> sublayers;
  std::vector<Value> statistics;
  Value last;

 private:
  Value block(Value x, int layer) {
    const std::string name = fmt::format("model.layers.{}", layer);
    const bool dense = layer < c_.model.dense_layers;
    {
      const auto phase = p_.phase({Phase::Part::attention, layer});
      x = sublayer(x, 2 * layer, name + ".attn_hc", name + ".input_layernorm.weight",
                   [&](Value h) { return nn::mla(t_, h, name + ".self_attn"); });
    }
    const auto phase = p_.phase({dense ? Phase::Part::ffn : Phase::Part::combine, layer});
    return sublayer(x, 2 * layer + 1, name + ".ffn_hc", name + ".post_attention_layernorm.weight",
                    [&](Value h) {
                      return dense ? nn::dense_ffn(t_, h, name + ".mlp", dense_ffn_width(c_))
                                   : nn::moe(t_, h, name + ".mlp", layer);
                    });
  }

  // open, F's own RMSNorm, F, close. The residual's operators and the norm may be recomputed; F is
  // not.
  template <class F>
  Value sublayer(Value x, int64_t index, const std::string& residual, const std::string& norm,
                 F&& f) {
    const int64_t length = recompute_block(c_);
    const int segment = length ? int(index / length) : kNone;
    Value h;
    Opened opened;
    {
      const auto scope = p_.segment(segment);
      opened = residual_->open(x, residual, index);
      h = nn::norm(t_, opened.h, norm, c_.model.norm_eps);
    }
    sublayers.push_back(opened);
    if (t_.telemetry.program && opened.res.program)
      statistics.push_back(nn::stream_statistics(x, opened.res, {t_.telemetry, t_.position},
                                                 residual + ".statistics"));
    const Value y = f(h);
    const auto scope = p_.segment(segment);
    return residual_->close(opened, y);
  }

  const nn::Trace& t_;
  Program& p_;
  const Config& c_;
  std::unique_ptr<Residual> residual_;
};

struct Head {  // y·wᵀ are the logits
  Value y, w;
};

// Everything up to the head.
Head trace_forward(Program& p, const Config& c, int64_t sequences, int64_t sequence, bool training,
                   ModelIo& io) {
  const TensorSpec per_token{{sequences * sequence}, DType::i32};
  io.token = p.add(Kind::input, "token", per_token);
  io.target = p.add(Kind::input, "target", per_token);
  io.position = p.add(Kind::input, "position", per_token);
  io.first_key = p.add(Kind::input, "first_key", per_token);
  if (training && c.model.residual != ResidualKind::plain && c.train.telemetry_every > 0)
    io.telemetry = p.add(Kind::constant, "telemetry", {{1}, DType::i32});
  const nn::Trace t{.program = p,
                    .config = c,
                    .tokens = sequences * sequence,
                    .sequence = sequence,
                    .training = training,
                    .position = io.position,
                    .first_key = io.first_key,
                    .telemetry = io.telemetry};
  Tracer tracer(t);
  const Value y = tracer.hidden(io.token);
  io.sublayers = tracer.sublayers;
  io.statistics = tracer.statistics;
  io.last = tracer.last;
  return {y, tracer.vocabulary("lm_head.weight")};
}

}  // namespace

ModelIo trace_training(Program& p, const Config& c) {
  ModelIo io;
  const Head head = trace_forward(p, c, c.train.micro_batch, c.train.sequence, true, io);
  const auto phase = p.phase({Phase::Part::head, -1});
  io.scale = p.add(Kind::constant, "scale", {{1}, wide(p.dtype)});
  io.loss = p.add(Kind::accumulator, "loss", {{1}, DType::f64});
  io.nll = nn::cross_entropy_loss(head.y, head.w, io.target, io.scale, io.loss);
  return io;
}

ModelIo trace_scoring(Program& p, const Config& c, int64_t sequences, int64_t sequence) {
  ModelIo io;
  const Head head = trace_forward(p, c, sequences, sequence, false, io);
  const auto phase = p.phase({Phase::Part::head, -1});
  io.nll = nn::cross_entropy(head.y, head.w, io.target);
  p.slots[size_t(io.nll.id)].kind = Kind::output;
  return io;
}

DecodeIo trace_decode(Program& p, const Config& c, int64_t tokens, int64_t cache) {
  DecodeIo io;
  io.token = p.add(Kind::input, "token", {{tokens}, DType::i32});
  io.position = p.add(Kind::input, "position", {{tokens}, DType::i32});
  io.length = p.add(Kind::input, "length", {{1}, DType::i32});
  const nn::Trace t{.program = p,
                    .config = c,
                    .tokens = tokens,
                    .sequence = tokens,
                    .training = false,
                    .position = io.position,
                    .first_key = {},
                    .cache = cache,
                    .length = io.length};
  Tracer tracer(t);
  const Value y = tracer.hidden(io.token);
  const auto phase = p.phase({Phase::Part::head, -1});
  io.logits = nn::head_logits(y, tracer.vocabulary("lm_head.weight"));
  p.slots[size_t(io.logits.id)].kind = Kind::output;
  return io;
}

ParameterCount count_parameters(const Config& c) {
  Program p;
  trace_scoring(p, c, 1, 1);
  ParameterCount n;
  for (const auto& [id, spec] : p.parameters) {
    const int64_t size = count(spec.shape);
    const bool routed = spec.name.find(".mlp.experts.") != std::string::npos;
    n.total += size;
    if (spec.name == "model.embed_tokens.weight") continue;
    n.active += routed ? size / c.moe.experts * c.moe.active : size;
    if (spec.name.find("_hc.") != std::string::npos || spec.name.starts_with("model.readout."))
      n.hyper_connections += size;
  }
  return n;
}

}  // namespace birkhoff
