#include "engine/optim/optimizer.h"

#include <cmath>

#include "engine/optim/schedule.h"
#include "kernels/adamw.h"
#include "kernels/balance.h"
#include "kernels/norm.h"
#include "kernels/route.h"

namespace birkhoff {
namespace {

// One in-place update: every output is its own base.
void update(Program& p, const Operator& op, std::vector<SlotId> in, const std::vector<SlotId>& out,
            Desc desc) {
  p.append(p.update, {.op = &op,
                      .in = std::move(in),
                      .out = out,
                      .base = out,
                      .desc = desc,
                      .phase = {Phase::Part::update, -1}});
}

SlotId moment(Program& p, const char* which, const Slot& of) {
  return p.add(Kind::state, fmt::format("{}.{}", which, of.name), of.spec).id;
}

void balance(Program& p, SlotId scale, double speed) {
  const List& forward = p.forward;
  for (const Call& call : forward)
    if (call.op == &kRoute)
      update(p, kBalanceUpdate, {call.out[Route::load], scale}, {call.in[Route::bias]},
             BalanceUpdate::Desc{.speed = speed});
}

}  // namespace

double weight_decay_of(const OptimConfig& c, Decay decay) {
  switch (decay) {
    case Decay::matrix:
      return c.weight_decay;
    case Decay::embedding:
      return c.weight_decay_embedding;
    case Decay::phi:
      return c.weight_decay_phi;
    case Decay::fixed:
      return c.weight_decay_static;
    case Decay::norm:
      return c.weight_decay_norm;
  }
  return 0;
}

OptimizerIo trace_update(Program& p, const Config& c) {
  const Value hyper = p.add(Kind::constant, "hyper", {{4}, DType::f32});
  SlotId squares = kNone;
  for (const auto& [parameter, gradient] : p.gradient_of) {
    Call call{.op = &kSquaredSum, .in = {gradient}, .phase = {Phase::Part::update, -1}};
    if (squares != kNone) call.out = call.base = {squares};
    squares = p.append(p.update, std::move(call)).out[0];
    Slot& slot = p.slots[size_t(squares)];
    slot.kind = Kind::accumulator, slot.name = "squares";
    p.update.back().base = {squares};
  }
  const Call& clip = p.append(p.update, {.op = &kClipScale,
                                         .in = {squares},
                                         .desc = ClipScale::Desc{.max_norm = c.optim.clip_norm},
                                         .phase = {Phase::Part::update, -1}});
  const SlotId scale = clip.out[ClipScale::scale];
  const Value norm{&p, clip.out[ClipScale::norm]};
  p.slots[size_t(norm.id)].kind = Kind::output, p.slots[size_t(norm.id)].name = "norm";

  for (const auto& [parameter, gradient] : p.gradient_of) {
    const Slot slot = p.slots[size_t(parameter)];
    const AdamW::Desc desc{
        .beta1 = c.optim.beta1,
        .beta2 = c.optim.beta2,
        .eps = c.optim.eps,
        .weight_decay = weight_decay_of(c.optim, p.parameters.at(parameter).decay)};
    const SlotId m = moment(p, "adam_m", slot), v = moment(p, "adam_v", slot);
    update(p, kAdamW, {gradient, hyper.id, scale}, {parameter, m, v}, desc);
  }
  balance(p, scale, c.moe.bias_speed);
  return {hyper, norm};
}

std::array<float, 4> hyper_of(const Config& c, int64_t step) {
  const double t = double(step);
  return {float(learning_rate(c.optim, c.train.steps, step)),
          float(1 / (1 - std::pow(c.optim.beta1, t))), float(1 / (1 - std::pow(c.optim.beta2, t))),
          0};
}

}  // namespace birkhoff
