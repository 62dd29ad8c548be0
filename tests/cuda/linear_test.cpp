// Matrix products by cuBLASLt against fp64: ragged shapes, all types, with and without a base.
#include "kernels/cuda/linear.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "kernels/linear.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/cublaslt.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void linear(const Args& args);
void linear_dx(const Args& args);
void linear_dw(const Args& args);
}  // namespace birkhoff::reference

namespace birkhoff::testing {
namespace {

using cuda::Gpu;
using cuda::LinearKind;
using cuda::LinearProblem;
using cuda::LinearProduct;
using cuda::Stream;
using cuda::StreamKind;

enum class Base { absent, elsewhere, in_place };

struct Case {
  LinearProblem problem;
  Base base = Base::absent;

  TensorSpec spec(int operand) const {  // a, b, out
    const int64_t t = problem.tokens, n = problem.outputs, k = problem.inputs;
    const Shape shapes[3][3] = {
        {{t, k}, {n, k}, {t, n}}, {{t, n}, {n, k}, {t, k}}, {{t, n}, {t, k}, {n, k}}};
    return {shapes[int(problem.kind)][operand], operand == 2 ? problem.result : problem.factors};
  }
  Tensor a() const { return random_tensor(spec(0), "a"); }
  Tensor b() const { return random_tensor(spec(1), "b"); }
  Tensor bases() const { return random_tensor(spec(2), "base", 3); }
  int64_t depth() const {
    return problem.kind == LinearKind::forward ? problem.inputs
           : problem.kind == LinearKind::dx    ? problem.outputs
                                               : problem.tokens;
  }
};

Tensor absolute(Tensor t) {
  for (int64_t i = 0; i < t.spec.count(); ++i) t.set(i, std::fabs(t.at(i)));
  return t;
}

// The oracle's result in fp64.
Tensor product(const Case& c, const Tensor& a, const Tensor& b) {
  constexpr void (*kBodies[])(const Args&) = {reference::linear, reference::linear_dx,
                                              reference::linear_dw};
  static const TensorSpec kAbsent;
  Tensor out({c.spec(2).shape, DType::f64});
  const Operand inputs[] = {{&a.spec, a.bytes.data()}, {&b.spec, b.bytes.data()}, {&kAbsent}};
  const Result outputs[] = {{&out.spec, out.bytes.data()}};
  const Desc desc = LinearDesc{};
  Context context;
  kBodies[int(c.problem.kind)]({inputs, outputs, &desc, &context});
  return out;
}

// `depth` products, the sum of two halves and the base make at most depth + 2 roundings of f32;
// tensor cores truncate where f32 rounds, which doubles the error. The result's type adds one more
// rounding.
Bounded expected(const Case& c) {
  const Tensor a = c.a().as(DType::f64), b = c.b().as(DType::f64), base = c.bases();
  Bounded want{product(c, a, b), product(c, absolute(a), absolute(b))};
  const double stored = c.problem.result == DType::bf16 ? kStored : kHalf;
  for (int64_t i = 0; i < base.spec.count(); ++i) {
    const double added = c.base == Base::absent ? 0 : base.at(i);
    const double value = want.value.at(i) + added;
    const double sums = 2 * kHalf * double(c.depth() + 2) * (want.bound.at(i) + std::fabs(added));
    want.value.set(i, value);
    want.bound.set(i, sums + stored * (std::fabs(value) + sums));
  }
  return want;
}

template <class Factor, class Value>
Tensor run(const Case& c) {
  Gpu gpu;
  const Stream stream(gpu, StreamKind::compute);
  const cuda::CublasLt lt(gpu, cublaslt());
  const LinearProduct multiply(lt, c.problem);
  const cuda::Arena workspace(gpu, multiply.workspace_bytes(), "workspace");
  // The arrays are aligned no better than required.
  constexpr int64_t kFactors = 16 / sizeof(Factor), kValues = 16 / sizeof(Value);
  const OnDevice<Factor> a(c.a(), kFactors), b(c.b(), kFactors);
  const OnDevice<Value> base(c.bases(), kValues);
  const OnDevice<Value> out(c.base == Base::in_place ? c.bases() : Tensor(c.spec(2)), kValues);
  gpu.run("linear", stream, [&] {
    multiply.run({.a = a.data(),
                  .b = b.data(),
                  .base = c.base == Base::absent     ? nullptr
                          : c.base == Base::in_place ? out.data()
                                                     : base.data(),
                  .out = out.data(),
                  .workspace = workspace.at(0, workspace.size())},
                 stream);
  });
  stream.synchronise();
  return out.tensor();
}

Tensor run_typed(const Case& c) {
  if (c.problem.factors == DType::f32) return run<float, float>(c);
  return c.problem.result == DType::f32 ? run<bf16, float>(c) : run<bf16, bf16>(c);
}

std::vector<Case> cases() {
  constexpr int64_t kShapes[][3] = {{1, 1, 1}, {5, 3, 7}, {16, 8, 24}, {33, 17, 65}, {2, 40, 129}};
  constexpr DType kTypes[][2] = {
      {DType::bf16, DType::bf16}, {DType::bf16, DType::f32}, {DType::f32, DType::f32}};
  std::vector<Case> all;
  for (const LinearKind kind : {LinearKind::forward, LinearKind::dx, LinearKind::dw})
    for (const auto& [tokens, outputs, inputs] : kShapes)
      for (const auto& [factors, result] : kTypes)
        all.push_back({{kind, tokens, outputs, inputs, factors, result}, Base(all.size() % 3)});
  return all;
}

TEST(CudaLinear, IsTheReference) {
  in_every_schedule([] {
    for (const Case& c : cases()) {
      SCOPED_TRACE(fmt::format("kind {}, {} tokens, {} outputs, {} inputs, {} to {}, base {}",
                               int(c.problem.kind), c.problem.tokens, c.problem.outputs,
                               c.problem.inputs, name_of(c.problem.factors),
                               name_of(c.problem.result), int(c.base)));
      const Tensor got = run_typed(c);
      const Bounded want = expected(c);
      for (int64_t i = 0; i < got.spec.count(); ++i)
        ASSERT_LE(std::fabs(got.at(i) - want.value.at(i)), want.bound.at(i)) << i;
      ASSERT_EQ(got.bytes, run_typed(c).bytes);  // repeating gives the same bits
    }
  });
}

// A product runs after the stream's earlier work, and its workspace belongs to the stream.
TEST(CudaLinear, FollowsItsStream) {
  in_every_schedule([] {
    Gpu gpu;
    const Stream first(gpu, StreamKind::compute), second(gpu, StreamKind::compute);
    const cuda::CublasLt lt(gpu, cublaslt());
    const LinearProduct multiply(lt, {LinearKind::forward, 8, 8, 8, DType::f32, DType::f32});
    const cuda::Arena workspace(gpu, multiply.workspace_bytes(), "workspace");
    const Tensor ones({{8, 8}, DType::f32}, std::vector<double>(64, 1.0));
    const OnDevice<float> x(ones), w(ones);
    cuda::Event done(gpu);
    const auto run = [&](const Stream& stream) {  // x = x + x·wᵀ, on alternating streams
      multiply.run({w.data(), w.data(), x.data(), x.data(), workspace.at(0, workspace.size())},
                   stream);
      done.record(stream);
    };
    run(first);
    second.wait(done);
    run(second);
    first.wait(done);
    run(first);
    first.synchronise();
    const Tensor got = x.tensor();
    for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(got.at(i), 25.0);
  });
}

TEST(CudaLinear, RefusesWhatItCannotDo) {
  in_every_schedule([] {
    Gpu gpu;
    const Stream stream(gpu, StreamKind::compute);
    const cuda::CublasLt lt(gpu, cublaslt());
    const auto make = [&](LinearProblem p) { return LinearProduct(lt, p); };
    EXPECT_THROW(make({LinearKind::dw, 0, 1, 1, DType::f32, DType::f32}), InternalError);
    EXPECT_THROW(make({LinearKind::dw, 1, 1, 1, DType::f32, DType::bf16}), InternalError);
    EXPECT_THROW(make({LinearKind::dw, 1, 1, 1, DType::i32, DType::f32}), InternalError);
    const LinearProduct multiply = make({LinearKind::forward, 4, 4, 4, DType::f32, DType::f32});
    const cuda::Arena workspace(gpu, multiply.workspace_bytes() + 256, "workspace");
    const DeviceArray<float> x(16), w(17), y(16);
    EXPECT_THROW(
        multiply.run({x.data(), w.data() + 1, nullptr, y.data(), workspace.at(0, workspace.size())},
                     stream),
        InternalError);
    if (multiply.workspace_bytes() == 0) return;
    EXPECT_THROW(multiply.run({x.data(), w.data(), nullptr, y.data(),
                               workspace.at(0, multiply.workspace_bytes() - 1)},
                              stream),
                 InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
