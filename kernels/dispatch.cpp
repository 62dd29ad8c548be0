#include "kernels/dispatch.h"

#include <algorithm>

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

bool is_matrix(const TensorSpec& t) { return t.shape.size() == 2 && is_floating(t.dtype); }

bool is_row(const TensorSpec& t) {
  return t.shape.size() == 2 && t.shape[1] >= 1 && t.dtype == DType::i32;
}

bool is_list(const TensorSpec& t) { return t.shape.size() == 1 && t.dtype == DType::i32; }

Outputs dispatch_outputs(Specs in, const Desc&) {
  using D = Dispatch;
  const TensorSpec &x = in[D::x], &source = in[D::source], &row = in[D::row];
  require(is_matrix(x) && is_row(row) && row.shape[0] == x.shape[0] && is_list(source) &&
              is_list(in[D::offsets]),
          "dispatch", "x {}, source {}, row {}, offsets {}", x, source, row, in[D::offsets]);
  return {{.spec = {{source.shape[0], x.shape[1]}, x.dtype}}};
}

Outputs dispatch_backward_outputs(Specs in, const Desc&) {
  using B = DispatchBackward;
  const TensorSpec &dbuffer = in[B::dbuffer], &row = in[B::row];
  require(is_matrix(dbuffer) && is_row(row), "dispatch_backward", "dbuffer {}, row {}", dbuffer,
          row);
  return {{.spec = {{row.shape[0], dbuffer.shape[1]}, dbuffer.dtype}}};
}

Outputs combine_outputs(Specs in, const Desc&) {
  using C = Combine;
  const TensorSpec &buffer = in[C::buffer], &weight = in[C::weight], &row = in[C::row];
  require(is_matrix(buffer) && is_row(row) && weight.shape == row.shape &&
              weight.dtype == wide(buffer.dtype) && is_list(in[C::source]) &&
              in[C::source].shape[0] == buffer.shape[0] && is_list(in[C::offsets]),
          "combine", "buffer {}, weight {}, row {}, source {}, offsets {}", buffer, weight, row,
          in[C::source], in[C::offsets]);
  return {{.spec = {{row.shape[0], buffer.shape[1]}, buffer.dtype}}};
}

Outputs combine_backward_outputs(Specs in, const Desc& desc) {
  using B = CombineBackward;
  const Outputs forward = combine_outputs(in.subspan(B::buffer), desc);
  require(in[B::dy] == forward[Combine::y].spec, "combine_backward", "dy {}, y {}", in[B::dy],
          forward[Combine::y].spec);
  return {{.spec = in[B::buffer]}, {.spec = in[B::weight]}};
}

// The most that one round moves: elements in rows of tokens and in rows of the buffer, and the
// bytes per element.
struct Moved {
  double tokens, rows, element;
};
Moved moved(const Shape& row, int64_t capacity, const TensorSpec& x) {
  const int64_t k = row[1], tokens = std::min(row[0], capacity / k), width = x.shape[1];
  return {double(tokens * width), double(tokens * k * width), double(size_of(x.dtype))};
}
double integers(const TensorSpec& row, int64_t capacity) {
  return double(row.bytes()) + 4.0 * double(capacity);
}

double dispatch_bytes(Specs in, const Desc&) {
  const int64_t capacity = in[Dispatch::source].shape[0];
  const Moved m = moved(in[Dispatch::row].shape, capacity, in[Dispatch::x]);
  return (m.tokens + m.rows) * m.element + integers(in[Dispatch::row], capacity);
}

double combine_bytes(Specs in, const Desc&) {
  const TensorSpec &buffer = in[Combine::buffer], &row = in[Combine::row];
  const Moved m = moved(row.shape, buffer.shape[0], buffer);
  return (m.tokens + m.rows) * m.element + double(row.bytes() + in[Combine::weight].bytes());
}

double combine_backward_bytes(Specs in, const Desc&) {
  using B = CombineBackward;
  const TensorSpec &buffer = in[B::buffer], &row = in[B::row];
  const Moved m = moved(row.shape, buffer.shape[0], buffer);
  return (m.tokens + 2 * m.rows) * m.element + integers(row, buffer.shape[0]) +
         2 * double(in[B::weight].bytes());
}

void dispatch_gradient(Gradient& g) {
  g.emit(kDispatchBackward, {g.dy(), g.in(Dispatch::row)}, {g.in(Dispatch::x)});
}

void combine_gradient(Gradient& g) {
  using C = Combine;
  g.emit(
      kCombineBackward,
      {g.dy(), g.in(C::buffer), g.in(C::weight), g.in(C::row), g.in(C::source), g.in(C::offsets)},
      {g.in(C::buffer), g.in(C::weight)});
}

}  // namespace

constinit const Operator kDispatch{
    .name = "dispatch",
    .outputs = dispatch_outputs,
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<cpu::dispatch>, {}, kReferenceBody<reference::dispatch>},
    .gradient = dispatch_gradient,
    .bytes = dispatch_bytes,
};

constinit const Operator kDispatchBackward{
    .name = "dispatch_backward",
    .outputs = dispatch_backward_outputs,
    .flops = [](Specs in, const Desc&) { return moved(in[1].shape, in[0].shape[0], in[0]).rows; },
    .implementations = {kCpuBody<cpu::dispatch_backward>,
                        {},
                        kReferenceBody<reference::dispatch_backward>},
    .bytes =
        [](Specs in, const Desc&) {
          const Moved m = moved(in[1].shape, in[0].shape[0], in[0]);
          return (m.tokens + m.rows) * m.element + double(in[1].bytes());
        },
};

constinit const Operator kCombine{
    .name = "combine",
    .outputs = combine_outputs,
    .flops =
        [](Specs in, const Desc&) {
          return 2 * moved(in[Combine::row].shape, in[0].shape[0], in[0]).rows;
        },
    .implementations = {kCpuBody<cpu::combine>, {}, kReferenceBody<reference::combine>},
    .gradient = combine_gradient,
    .bytes = combine_bytes,
};

constinit const Operator kCombineBackward{
    .name = "combine_backward",
    .outputs = combine_backward_outputs,
    .flops =
        [](Specs in, const Desc&) {
          using B = CombineBackward;
          return 3 * moved(in[B::row].shape, in[B::buffer].shape[0], in[B::buffer]).rows;
        },
    .implementations = {kCpuBody<cpu::combine_backward>,
                        {},
                        kReferenceBody<reference::combine_backward>},
    .bytes = combine_backward_bytes,
};

}  // namespace birkhoff
