#include "kernels/route_layout.h"

#include <limits>

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

Outputs outputs(Specs in, const Desc& desc) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const TensorSpec& expert = in[RouteLayout::expert];
  const auto& d = desc.as<RouteLayout::Desc>();
  require(expert.shape.size() == 2 && expert.shape[1] >= 1 && expert.dtype == DType::i32,
          "route_layout", "expert {}", expert);
  require(expert.count() <= kMost && d.capacity <= kMost, "route_layout",
          "{} routed pairs, capacity {}: more than i32 counts", expert.count(), d.capacity);
  require(d.experts >= 1 && d.capacity >= expert.shape[1], "route_layout",
          "{} experts, capacity {} for {} rows a token", d.experts, d.capacity, expert.shape[1]);
  return {{.spec = {{d.experts + 1}, DType::i32}, .saved = true},
          {.spec = {{d.capacity}, DType::i32}, .saved = true},
          {.spec = expert, .saved = true},
          {.spec = {{1}, DType::i32}, .saved = true}};
}

}  // namespace

constinit const Operator kRouteLayout{
    .name = "route_layout",
    .outputs = outputs,
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {cpu::route_layout, {}, kReferenceBody<reference::route_layout>},
};

}  // namespace birkhoff
