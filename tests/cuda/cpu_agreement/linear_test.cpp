// Matrix products: cuBLASLt's of bf16 factors, the CPU's of weights that it rounds on reading; and
// products of f32.
#include "kernels/linear.h"
#include "kernels/cuda/cast.h"
#include "kernels/cuda/linear.h"
#include "tests/cuda/cpu_agreement/agreement.h"
#include "tests/cuda/support/cublaslt.h"

namespace birkhoff::testing {
namespace {

using cuda::Gpu;
using cuda::LinearKind;
using cuda::LinearProblem;

struct Case {
  LinearProblem problem;

  int64_t depth() const {
    return problem.kind == LinearKind::forward ? problem.inputs
           : problem.kind == LinearKind::dx    ? problem.outputs
                                               : problem.tokens;
  }
  bool has_weight() const { return problem.kind != LinearKind::dw; }
  // a and b as passed to the CPU, where a weight is f32.
  TensorSpec spec(int operand) const {
    const int64_t t = problem.tokens, n = problem.outputs, k = problem.inputs;
    const Shape shapes[3][2] = {{{t, k}, {n, k}}, {{t, n}, {n, k}}, {{t, n}, {t, k}}};
    return {shapes[int(problem.kind)][operand],
            operand == 1 && has_weight() ? DType::f32 : problem.factors};
  }
  TensorSpec result() const {
    const int64_t t = problem.tokens, n = problem.outputs, k = problem.inputs;
    const Shape shapes[3] = {{t, n}, {t, k}, {n, k}};
    return {shapes[int(problem.kind)], problem.result};
  }
};

// Each side sums `depth` products, in any order; the device may truncate.
Tensor apart_of(const Case& c, const Tensor& a, const Tensor& b) {
  const int64_t t = c.problem.tokens, n = c.problem.outputs, k = c.problem.inputs;
  Tensor apart = zeros(c.result());
  const double sums = (kUnit + kHalf) * double(c.depth() + 2);
  for (int64_t row = 0; row < t; ++row)
    for (int64_t out = 0; out < n; ++out)
      for (int64_t in = 0; in < k; ++in) {
        const int64_t y = row * n + out, w = out * k + in, x = row * k + in;
        if (c.problem.kind == LinearKind::forward)
          add_to(apart, y, sums * std::fabs(a.at(x) * b.at(w)));
        else if (c.problem.kind == LinearKind::dx)
          add_to(apart, x, sums * std::fabs(a.at(y) * b.at(w)));
        else
          add_to(apart, w, sums * std::fabs(a.at(y) * b.at(x)));
      }
  return apart;
}

// b as the device multiplies it: a wide weight is first rounded by round_to_bf16.
Tensor stored(const Case& c, const Tensor& b) {
  if (b.spec.dtype == c.problem.factors) return b;
  const OnDevice<float> wide(b);
  const OnDevice<bf16> rounded(bf16s(b.spec.shape));
  cuda::round_to_bf16(wide.data(), rounded.data(), wide.size(), nullptr);
  return rounded.tensor();
}

template <class Factor, class Value>
Tensor product(const Case& c, const Tensor& a_values, const Tensor& b_values) {
  Gpu gpu;
  const cuda::Stream stream(gpu, cuda::StreamKind::compute);
  const cuda::CublasLt lt(gpu, cublaslt());
  const cuda::LinearProduct multiply(lt, c.problem);
  const cuda::Arena workspace(gpu, multiply.workspace_bytes(), "workspace");
  const OnDevice<Factor> a(a_values), b(b_values);
  const OnDevice<Value> out(c.result());
  gpu.run("linear", stream, [&] {
    multiply.run({.a = a.data(),
                  .b = b.data(),
                  .base = nullptr,
                  .out = out.data(),
                  .workspace = workspace.at(0, workspace.size())},
                 stream);
  });
  stream.synchronise();
  return out.tensor();
}

void check_case(const Case& c) {
  const LinearProblem& p = c.problem;
  SCOPED_TRACE(fmt::format("kind {}, {} tokens, {} outputs, {} inputs, {} to {}", int(p.kind),
                           p.tokens, p.outputs, p.inputs, name_of(p.factors), name_of(p.result)));
  const Tensor a = random_tensor(c.spec(0), "a"), b = random_tensor(c.spec(1), "b");
  const Tensor factor = stored(c, b);
  const Tensor device = p.factors == DType::f32  ? product<float, float>(c, a, factor)
                        : p.result == DType::f32 ? product<bf16, float>(c, a, factor)
                                                 : product<bf16, bf16>(c, a, factor);
  const Tensor apart = apart_of(c, a, factor);
  for (const bool pairs : {true, false}) {
    const Pairs allowed(pairs);
    const Tensor cpu = p.kind == LinearKind::forward ? on_cpu(kLinear, {a, b}, LinearDesc{})[0]
                       : p.kind == LinearKind::dx
                           ? on_cpu(kLinearDx, {a, b, Tensor()}, LinearDesc{})[0]
                           : on_cpu(kLinearDw, {a, b}, {})[0];
    expect_apart(device, cpu, apart, "product");
  }
}

TEST(CpuAgreement, Linear) {
  in_one_schedule([] {
    constexpr int64_t kShapes[][3] = {
        {1, 1, 1}, {5, 3, 7}, {33, 17, 65}, {2, 40, 129}, {64, 64, 256}};
    for (const LinearKind kind : {LinearKind::forward, LinearKind::dx, LinearKind::dw})
      for (const auto& [tokens, outputs, inputs] : kShapes)
        for (const DType factors : {DType::bf16, DType::f32})
          check_case({{kind, tokens, outputs, inputs, factors,
                       kind == LinearKind::dw ? DType::f32 : factors}});
  });
}

}  // namespace
}  // namespace birkhoff::testing
