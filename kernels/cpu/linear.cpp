#include "kernels/linear.h"

#include "kernels/bodies.h"
#include "kernels/cpu/matmul.h"

namespace birkhoff::cpu {
namespace {

// w as a factor. It is rounded to bf16 as it is read if the other factor is bf16, unless full_w is
// set.
Matrix weight(const Args& a, int w, int other, int64_t stride, bool transposed) {
  const bool rounded =
      a.inputs[size_t(other)].spec->dtype == DType::bf16 && !a.desc<LinearDesc>().full_w;
  return {a.inputs[size_t(w)], 0, stride, transposed, rounded};
}

void run_linear(const Args& a) {
  const int64_t t = a.dim(Linear::x, 0), k = a.dim(Linear::x, 1), n = a.dim(Linear::w, 0);
  matmul(a, {.m = t,
             .n = n,
             .k = k,
             .a = {a.inputs[Linear::x], 0, k},
             .b = weight(a, Linear::w, Linear::x, k, true),
             .c = {a.outputs[Linear::y], 0, n}});
}

void run_linear_dx(const Args& a) {
  const int64_t t = a.dim(LinearDx::dy, 0), n = a.dim(LinearDx::dy, 1);
  const int64_t k = a.dim(LinearDx::w, 1);
  const bool wide_y = a.desc<LinearDesc>().wide_y;
  matmul(a, {.m = t,
             .n = k,
             .k = n,
             .a = {a.inputs[LinearDx::dy], 0, n},
             .b = weight(a, LinearDx::w, wide_y ? LinearDx::x : LinearDx::dy, k, false),
             .c = {a.outputs[LinearDx::dx], 0, k}});
}

void run_linear_dw(const Args& a) {
  const int64_t t = a.dim(LinearDw::dy, 0), n = a.dim(LinearDw::dy, 1);
  const int64_t k = a.dim(LinearDw::x, 1);
  matmul(a, {.m = n,
             .n = k,
             .k = t,
             .a = {a.inputs[LinearDw::dy], 0, n, true},
             .b = {a.inputs[LinearDw::x], 0, k},
             .c = {a.outputs[LinearDw::dw], 0, k}});
}

}  // namespace

constinit const Implementation linear[] = {
    {.name = "cpu",
     .workspace = [](Specs in, const Desc&) { return matmul_scratch(in[Linear::x].dtype); },
     .run = run_linear}};

constinit const Implementation linear_dx[] = {
    {.name = "cpu",
     .workspace =
         [](Specs in, const Desc& d) {
           const bool wide_y = d.as<LinearDesc>().wide_y;
           return matmul_scratch(in[size_t(wide_y ? LinearDx::x : LinearDx::dy)].dtype);
         },
     .run = run_linear_dx}};

constinit const Implementation linear_dw[] = {
    {.name = "cpu",
     .workspace = [](Specs, const Desc&) { return matmul_scratch(DType::f32); },
     .run = run_linear_dw}};

}  // namespace birkhoff::cpu
