#include "engine/plan/cost.h"

namespace birkhoff {

Cost cost(const Operator& op, Specs in, const Desc& desc) {
  Cost c{.flops = op.flops(in, desc)};
  if (op.bytes) {
    c.bytes = op.bytes(in, desc);
    return c;
  }
  for (const TensorSpec& s : in) c.bytes += double(s.bytes());
  for (const Output& out : op.outputs(in, desc))
    if (out.view_of == kNone) c.bytes += double(out.spec.bytes());
  return c;
}

Cost cost(const Program& p, const Call& call) {
  if (call.body.empty()) return cost(*call.op, input_specs(p, call), call.desc);
  Cost sum;
  for (const Call& inner : call.body) {
    const Cost c = cost(p, inner);
    sum = {sum.flops + c.flops, sum.bytes + c.bytes};
  }
  return sum;
}

}  // namespace birkhoff
