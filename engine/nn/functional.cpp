#include "engine/nn/functional.h"

#include "kernels/attention.h"
#include "kernels/decode.h"
#include "kernels/dispatch.h"
#include "kernels/embedding.h"
#include "kernels/grouped_linear.h"
#include "kernels/identity.h"
#include "kernels/linear.h"
#include "kernels/linear_cross_entropy.h"
#include "kernels/mla_keys.h"
#include "kernels/rms_norm.h"
#include "kernels/route.h"
#include "kernels/route_layout.h"
#include "kernels/split.h"
#include "kernels/stream_statistics.h"
#include "kernels/swiglu.h"
#include "kernels/weighted_sum.h"

namespace birkhoff::nn {

Value embedding(Value token, Value table) {
  Program& p = *token.program;
  return p.emit(kEmbedding, {token, table}, EmbeddingDesc{.bf16 = p.dtype == DType::bf16})[0];
}

Value linear(Value x, Value w, Value base) {
  return x.program->emit(kLinear, {x, w}, LinearDesc(), {.base = {base}})[0];
}

Value router_logits(Value x, Value w) {
  return x.program->emit(kLinear, {x, w}, LinearDesc{.wide_y = true, .full_w = true})[0];
}

Value head_logits(Value x, Value w) {
  return x.program->emit(kLinear, {x, w}, LinearDesc{.wide_y = true})[0];
}

Value rms_norm(Value x, Value gain, double eps) {
  return x.program->emit(kRmsNorm, {x, gain}, RmsNorm::Desc{.eps = eps})[RmsNorm::y];
}

Value add(Value x, Value f) { return x.program->emit(kIdentity, {f}, {}, {.base = {x}})[0]; }

Value swiglu(Value gate_up, Value offsets) {
  return gate_up.program->emit(kSwiglu, {gate_up, offsets})[0];
}

Value rope(Value x, Value position, const Rope::Desc& desc) {
  return x.program->emit(kRope, {x, position}, desc)[0];
}

std::pair<Value, Value> split(Value x, int64_t first) {
  const auto out =
      x.program->emit(kSplit, {x}, Split::Desc{.first = first, .second = x.shape()[1] - first});
  return {out[0], out[1]};
}

KeysValues mla_keys(Value kv, Value k_rope, int64_t heads, int64_t nope) {
  const MlaKeys::Desc desc{.heads = heads,
                           .nope = nope,
                           .rope = k_rope.shape()[1],
                           .value = kv.shape()[1] / heads - nope};
  const auto out = kv.program->emit(kMlaKeys, {kv, k_rope}, desc);
  return {out[MlaKeys::k], out[MlaKeys::v]};
}

Value attention(Value q, KeysValues kv, Value first_key, const Attention& a) {
  return q.program->emit(
      kAttention, {q, kv.k, kv.v, first_key},
      birkhoff::Attention::Desc{.heads = a.heads, .sequence = a.sequence, .scale = a.scale})[0];
}

Value attention_cached(Value q, KeysValues kv, const Cache& cache, const Attention& a) {
  Program& p = *q.program;
  const auto write = [&](Value rows, Value into) {
    return p.emit(kCacheWrite, {rows, cache.length}, CacheWrite::Desc{.capacity = into.shape()[0]},
                  {.accumulate = {into}})[0];
  };
  const Value k = write(kv.k, cache.k), v = write(kv.v, cache.v);
  return p.emit(kAttentionDecode, {q, k, v, cache.length},
                AttentionDecode::Desc{.heads = a.heads, .scale = a.scale})[0];
}

Routed route(Value logits, Value bias, Value position, Value load, const Routing& r) {
  Program& p = *logits.program;
  const Value own[4] = {{}, {}, {}, load};
  const auto out = p.emit(
      kRoute, {logits, bias, position},
      Route::Desc{.active = r.active,
                  .scaling = r.scaling,
                  .normalise = r.normalise,
                  .groups = r.groups,
                  .active_groups = r.active_groups},
      {.accumulate = load.program ? std::vector<Value>(own, own + 4) : std::vector<Value>()});
  return {out[Route::weight], out[Route::expert], out[Route::score]};
}

Layout route_layout(Value expert, int64_t experts, int64_t capacity) {
  const auto out = expert.program->emit(
      kRouteLayout, {expert}, RouteLayout::Desc{.experts = experts, .capacity = capacity});
  return {out[RouteLayout::offsets], out[RouteLayout::source], out[RouteLayout::row],
          out[RouteLayout::rounds]};
}

Value dispatch(Value x, const Layout& l) {
  return x.program->emit(kDispatch, {x, l.source, l.row, l.offsets})[0];
}

Value grouped_linear(Value x, const Layout& l, Value w) {
  return x.program->emit(kGroupedLinear, {x, l.offsets, w})[0];
}

Value combine(Value buffer, Value weight, const Layout& l) {
  return buffer.program->emit(kCombine, {buffer, weight, l.row, l.source, l.offsets})[0];
}

Value cross_entropy(Value h, Value head, Value target) {
  return h.program->emit(kLinearCrossEntropy, {h, head, target})[LinearCrossEntropy::nll];
}

Value weighted_sum(Value value, Value scale, Value loss) {
  return value.program->emit(kWeightedSum, {value, scale}, {}, {.accumulate = {loss}})[0];
}

Value cross_entropy_loss(Value h, Value head, Value target, Value scale, Value loss) {
  Program& p = *h.program;
  const Slot slot = p.slots[size_t(head.id)];  // by value: add() moves the slots
  check(slot.kind == Kind::parameter && !p.gradient_of.count(head.id),
        "the head of a loss must be a parameter that has no gradient yet, unlike {}", slot.name);
  const Value dw = p.add(Kind::accumulator, slot.name, slot.spec);
  p.gradient_of[head.id] = dw.id;
  const Value nll = p.emit(kLinearCrossEntropyLoss, {h, head, target, scale}, {},
                           {.accumulate = {{}, {}, dw}})[LinearCrossEntropyLoss::nll];
  weighted_sum(nll, scale, loss);
  return nll;
}

Value stream_statistics(Value x, Value res, const Statistics& s, const std::string& name) {
  const int64_t count = res.shape()[1] + 2;
  const Value sum = x.program->add(Kind::accumulator, name, {{count}, DType::f64});
  return x.program->emit(kStreamStatistics, {x, res, s.when, s.position}, {},
                         {.accumulate = {sum}})[0];
}

}  // namespace birkhoff::nn
