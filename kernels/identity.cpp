#include "kernels/identity.h"

#include "kernels/bodies.h"

namespace birkhoff {

constinit const Operator kIdentity{
    .name = "identity",
    .outputs = [](Specs in, const Desc&) -> Outputs {
      require(in[Identity::x].dtype != DType::none, "identity", "x is absent");
      return {{.spec = in[Identity::x]}};
    },
    .flops = [](Specs in, const Desc&) { return double(in[Identity::x].count()); },
    .implementations = {kCpuBody<cpu::identity>, {}, kReferenceBody<reference::identity>},
    .gradient = [](Gradient& g) { g.pass(g.dy(), g.in(Identity::x)); },
};

}  // namespace birkhoff
