#include "kernels/route.h"

#include <limits>

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

bool is_real(DType t) { return t == DType::f32 || t == DType::f64; }

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &logits = in[Route::logits], &bias = in[Route::bias];
  const TensorSpec& position = in[Route::position];
  const auto& d = desc.as<Route::Desc>();
  require(logits.shape.size() == 2 && is_real(logits.dtype) &&
              bias.shape == Shape{logits.shape[1]} &&
              (bias.dtype == DType::f32 || bias.dtype == logits.dtype) &&
              position == TensorSpec{{logits.shape[0]}, DType::i32},
          "route", "logits {}, bias {}, position {}", logits, bias, position);
  const int64_t tokens = logits.shape[0], experts = logits.shape[1];
  require(d.groups >= 1 && experts % d.groups == 0 && d.active_groups >= 1 &&
              d.active_groups <= d.groups,
          "route", "{} of {} groups of {} experts", d.active_groups, d.groups, experts);
  require(d.active >= 1 && d.active <= d.active_groups * (experts / d.groups), "route",
          "{} active experts, from {} of {} groups of {} experts", d.active, d.active_groups,
          d.groups, experts);
  require(tokens * d.active <= std::numeric_limits<int32_t>::max(), "route",
          "{} tokens to {} experts each: more than i32 counts", tokens, d.active);
  require(d.scaling > 0, "route", "scaling {}", d.scaling);
  return {{.spec = {{tokens, d.active}, logits.dtype}},
          {.spec = {{tokens, d.active}, DType::i32}, .saved = true},
          {.spec = logits, .saved = true},
          {.spec = {{experts}, DType::i32}, .saved = true}};
}

Outputs backward_outputs(Specs in, const Desc&) {
  using B = RouteBackward;
  const TensorSpec &weight = in[B::weight], &expert = in[B::expert], &score = in[B::score];
  require(in[B::dweight] == weight && weight.shape == expert.shape && score.shape.size() == 2 &&
              expert.shape.size() == 2 && expert.shape[0] == score.shape[0] &&
              expert.dtype == DType::i32 && is_real(score.dtype) && score.dtype == weight.dtype,
          "route_backward", "dweight {}, weight {}, expert {}, score {}", in[B::dweight], weight,
          expert, score);
  return {{.spec = score}};
}

void gradient(Gradient& g) {
  g.emit(kRouteBackward,
         {g.dy(Route::weight), g.out(Route::weight), g.out(Route::expert), g.out(Route::score)},
         {g.in(Route::logits)}, g.desc());
}

}  // namespace

constinit const Operator kRoute{
    .name = "route",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return 8.0 * double(in[Route::logits].count()); },
    .implementations = {cpu::route, {}, kReferenceBody<reference::route>},
    .gradient = gradient,
};

constinit const Operator kRouteBackward{
    .name = "route_backward",
    .outputs = backward_outputs,
    .flops = [](Specs in, const Desc&) { return 6.0 * double(in[RouteBackward::weight].count()); },
    .implementations = {kCpuBody<cpu::route_backward>,
                        {},
                        kReferenceBody<reference::route_backward>},
    // Only the scores of the chosen experts are read.
    .bytes =
        [](Specs in, const Desc&) {
          using B = RouteBackward;
          return 4.0 * double(in[B::weight].bytes()) + double(in[B::score].bytes());
        },
};

}  // namespace birkhoff
