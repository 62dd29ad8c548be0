#include "kernels/grouped_linear.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

bool offsets_fit(const TensorSpec& offsets) {
  return offsets.shape.size() == 1 && offsets.shape[0] >= 2 && offsets.dtype == DType::i32;
}

// For rows [R, …] times w [E, N, K], whose dim `shared` must equal the width of the rows.
void require_experts(std::string_view name, const TensorSpec& rows, const TensorSpec& offsets,
                     const TensorSpec& w, int shared) {
  require(rows.shape.size() == 2 && offsets_fit(offsets) && w.shape.size() == 3 &&
              is_floating(rows.dtype) && w.dtype == wide(rows.dtype) &&
              offsets.shape[0] == w.shape[0] + 1 && rows.shape[1] == w.shape[size_t(shared)],
          name, "rows {}, offsets {}, w {}", rows, offsets, w);
}

Outputs outputs(Specs in, const Desc&) {
  using G = GroupedLinear;
  require_experts("grouped_linear", in[G::x], in[G::offsets], in[G::w], 2);
  return {{.spec = {{in[G::x].shape[0], in[G::w].shape[1]}, in[G::x].dtype}}};
}

Outputs dx_outputs(Specs in, const Desc&) {
  using G = GroupedLinearDx;
  require_experts("grouped_linear_dx", in[G::dy], in[G::offsets], in[G::w], 1);
  return {{.spec = {{in[G::dy].shape[0], in[G::w].shape[2]}, in[G::dy].dtype}}};
}

Outputs dw_outputs(Specs in, const Desc&) {
  using G = GroupedLinearDw;
  const TensorSpec &dy = in[G::dy], &x = in[G::x], &offsets = in[G::offsets];
  require(dy.shape.size() == 2 && x.shape.size() == 2 && is_floating(dy.dtype) &&
              dy.dtype == x.dtype && dy.shape[0] == x.shape[0] && offsets_fit(offsets),
          "grouped_linear_dw", "dy {}, x {}, offsets {}", dy, x, offsets);
  return {{.spec = {{offsets.shape[0] - 1, dy.shape[1], x.shape[1]}, wide(dy.dtype)}}};
}

double flops(Specs in, const Desc&) {
  const Shape& w = in[GroupedLinear::w].shape;
  static_assert(int(GroupedLinear::w) == int(GroupedLinearDx::w));
  return 2.0 * double(in[0].shape[0]) * double(w[1]) * double(w[2]);
}

double dw_flops(Specs in, const Desc&) {
  const TensorSpec &dy = in[GroupedLinearDw::dy], &x = in[GroupedLinearDw::x];
  return 2.0 * double(dy.count()) * double(x.shape[1]);
}

template <int kOffsets>
int64_t rows(const Args& a) {
  return a.in<int32_t>(kOffsets)[a.count(kOffsets) - 1];
}

void gradient(Gradient& g) {
  using G = GroupedLinear;
  g.emit(kGroupedLinearDx, {g.dy(), g.in(G::offsets), g.in(G::w)}, {g.in(G::x)});
  g.emit(kGroupedLinearDw, {g.dy(), g.in(G::x), g.in(G::offsets)}, {g.in(G::w)});
}

}  // namespace

constinit const Operator kGroupedLinear{
    .name = "grouped_linear",
    .outputs = outputs,
    .flops = flops,
    .implementations = {cpu::grouped_linear, {}, kReferenceBody<reference::grouped_linear>},
    .gradient = gradient,
    .rows = rows<GroupedLinear::offsets>,
};

constinit const Operator kGroupedLinearDx{
    .name = "grouped_linear_dx",
    .outputs = dx_outputs,
    .flops = flops,
    .implementations = {cpu::grouped_linear_dx, {}, kReferenceBody<reference::grouped_linear_dx>},
    .rows = rows<GroupedLinearDx::offsets>,
};

constinit const Operator kGroupedLinearDw{
    .name = "grouped_linear_dw",
    .outputs = dw_outputs,
    .flops = dw_flops,
    .implementations = {cpu::grouped_linear_dw, {}, kReferenceBody<reference::grouped_linear_dw>},
    .rows = rows<GroupedLinearDw::offsets>,
};

}  // namespace birkhoff
