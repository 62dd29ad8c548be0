#include "kernels/grouped_linear.h"

#include "kernels/bodies.h"
#include "kernels/cpu/matmul.h"

namespace birkhoff::cpu {
namespace {

// The offsets are data, so they are checked: wrong ones would make the body write anywhere.
const int32_t* checked_offsets(const Args& a, int input, int64_t rows) {
  const int32_t* offsets = a.in<int32_t>(input);
  const int64_t experts = a.count(input) - 1;
  bool ordered = offsets[0] == 0 && offsets[experts] <= rows;
  for (int64_t e = 0; e < experts; ++e) ordered = ordered && offsets[e] <= offsets[e + 1];
  check(ordered,
        "[grouped_linear] the offsets of {} experts do not ascend from 0 to at most {} rows",
        experts, rows);
  return offsets;
}

// out [R, n] = rows [R, k] of each expert times its part of w.
void rows_by_expert(const Args& a, int rows_input, int w_input, int64_t n, bool transposed) {
  const int64_t k = a.dim(rows_input, 1), experts = a.dim(w_input, 0);
  const int32_t* offsets = checked_offsets(a, GroupedLinear::offsets, a.dim(rows_input, 0));
  const Operand &rows = a.inputs[size_t(rows_input)], &w = a.inputs[size_t(w_input)];
  const bool rounded = rows.spec->dtype == DType::bf16;
  const Result& out = a.outputs[0];
  matmuls(a, experts, a.shared_workspace<int64_t>(), [=](int64_t e) {
    const int64_t first = offsets[e];
    return Product{.m = offsets[e + 1] - first,
                   .n = n,
                   .k = k,
                   .a = {rows, first * k, k},
                   .b = {w, e * n * k, transposed ? k : n, transposed, rounded},
                   .c = {out, first * n, n}};
  });
}

void run_linear(const Args& a) {
  using G = GroupedLinear;
  rows_by_expert(a, G::x, G::w, a.dim(G::w, 1), true);
}

void run_linear_dx(const Args& a) {
  using G = GroupedLinearDx;
  static_assert(int(G::offsets) == int(GroupedLinear::offsets));
  rows_by_expert(a, G::dy, G::w, a.dim(G::w, 2), false);
}

void run_linear_dw(const Args& a) {
  using G = GroupedLinearDw;
  const int64_t n = a.dim(G::dy, 1), k = a.dim(G::x, 1), experts = a.count(G::offsets) - 1;
  const int32_t* offsets = checked_offsets(a, G::offsets, a.dim(G::x, 0));
  const Operand &dy = a.inputs[G::dy], &x = a.inputs[G::x];
  const Result& dw = a.outputs[G::dw];
  matmuls(a, experts, a.shared_workspace<int64_t>(), [=](int64_t e) {
    const int64_t first = offsets[e];
    return Product{.m = n,
                   .n = k,
                   .k = offsets[e + 1] - first,
                   .a = {dy, first * n, n, true},
                   .b = {x, first * k, k},
                   .c = {dw, e * n * k, k}};
  });
}

// `shared` holds the first task of each expert.
template <int kOffsets>
Workspace scratch(Specs in, DType out) {
  return {.shared = size_t(in[kOffsets].count()) * sizeof(int64_t),
          .per_thread = matmul_workspace(out)};
}

}  // namespace

constinit const Implementation grouped_linear[] = {{.name = "cpu",
                                                    .workspace =
                                                        [](Specs in, const Desc&) {
                                                          return scratch<GroupedLinear::offsets>(
                                                              in, in[GroupedLinear::x].dtype);
                                                        },
                                                    .run = run_linear}};

constinit const Implementation grouped_linear_dx[] = {
    {.name = "cpu",
     .workspace =
         [](Specs in, const Desc&) {
           return scratch<GroupedLinearDx::offsets>(in, in[GroupedLinearDx::dy].dtype);
         },
     .run = run_linear_dx}};

constinit const Implementation grouped_linear_dw[] = {
    {.name = "cpu",
     .workspace = [](Specs in,
                     const Desc&) { return scratch<GroupedLinearDw::offsets>(in, DType::f32); },
     .run = run_linear_dw}};

}  // namespace birkhoff::cpu
