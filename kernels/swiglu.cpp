#include "kernels/swiglu.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

bool fits(const TensorSpec& offsets) {
  return offsets.dtype == DType::none ||
         (offsets.dtype == DType::i32 && offsets.shape.size() == 1 && offsets.shape[0] > 0);
}

Outputs outputs(Specs in, const Desc&) {
  const TensorSpec &x = in[Swiglu::x], &offsets = in[Swiglu::offsets];
  require(x.shape.size() == 2 && x.shape[1] % 2 == 0 && is_floating(x.dtype) && fits(offsets),
          "swiglu", "x {}, offsets {}", x, offsets);
  return {{.spec = {{x.shape[0], x.shape[1] / 2}, x.dtype}}};
}

Outputs backward_outputs(Specs in, const Desc&) {
  using B = SwigluBackward;
  const TensorSpec &dy = in[B::dy], &x = in[B::x], &offsets = in[B::offsets];
  require(x.shape.size() == 2 && x.shape[1] % 2 == 0 && is_floating(x.dtype) &&
              dy == TensorSpec{{x.shape[0], x.shape[1] / 2}, x.dtype} && fits(offsets),
          "swiglu_backward", "dy {}, x {}, offsets {}", dy, x, offsets);
  return {{.spec = x}};
}

template <int kX, int kOffsets>
int64_t rows(const Args& a) {
  return a.has(kOffsets) ? a.in<int32_t>(kOffsets)[a.count(kOffsets) - 1] : a.dim(kX, 0);
}

void gradient(Gradient& g) {
  g.emit(kSwigluBackward, {g.dy(), g.in(Swiglu::x), g.in(Swiglu::offsets)}, {g.in(Swiglu::x)});
}

}  // namespace

// An exponential counts as one flop: σ takes 4, silu·up takes 2 more.
constinit const Operator kSwiglu{
    .name = "swiglu",
    .outputs = outputs,
    .flops = [](Specs in, const Desc&) { return 3.0 * double(in[Swiglu::x].count()); },
    .implementations = {cpu::swiglu, {}, kReferenceBody<reference::swiglu>},
    .gradient = gradient,
    .rows = rows<Swiglu::x, Swiglu::offsets>,
};

constinit const Operator kSwigluBackward{
    .name = "swiglu_backward",
    .outputs = backward_outputs,
    .flops = [](Specs in, const Desc&) { return 6.0 * double(in[SwigluBackward::x].count()); },
    .implementations = {cpu::swiglu_backward, {}, kReferenceBody<reference::swiglu_backward>},
    .rows = rows<SwigluBackward::x, SwigluBackward::offsets>,
};

}  // namespace birkhoff
