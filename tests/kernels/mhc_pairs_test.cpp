// mhc on bf16 residual streams, at sizes where the bodies for pairs of bf16 (AVX512-BF16)
// have borders of their own. On other processors this tests the bodies that are used there.
#include <gtest/gtest.h>

#include "base/buffer.h"
#include "kernels/mhc.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

const RunOptions kCpu{.device = Device::cpu};

TensorSpec f32(Shape shape) { return {std::move(shape), DType::f32}; }
Tensor stored(Shape shape, const char* name) {
  return random_tensor(f32(std::move(shape)), name).as(DType::bf16);
}

struct Sublayer {
  int64_t tokens, width;
  int n = 4;
  double phi_scale = 0.05;

  MhcDesc desc() const { return {.n = n}; }
  std::vector<Tensor> open() const {
    const int64_t columns = desc().columns(), wide = n * width;
    return {stored({tokens, wide}, "x"), random_tensor(f32({wide, columns}), "phi", phi_scale),
            random_tensor(f32({3}), "alpha", 0.3, 1), random_tensor(f32({columns}), "b")};
  }
  std::vector<Tensor> open_backward() const {
    auto in = open();
    const auto out = run(kMhcOpen, in, desc(), kCpu);
    for (const Tensor& t :
         {out[MhcOpen::u], out[MhcOpen::rho], stored({tokens, width}, "dh"),
          stored({tokens, n * width}, "dlink"), random_tensor(f32({tokens, n}), "dpost"),
          random_tensor(f32({tokens, n * n}), "dres")})
      in.push_back(t);
    return in;
  }
  std::vector<Tensor> close() const {
    return {stored({tokens, n * width}, "x"), stored({tokens, width}, "f"),
            random_tensor(f32({tokens, n}), "post"), random_tensor(f32({tokens, n * n}), "res")};
  }
  std::vector<Tensor> close_backward() const {
    return {stored({tokens, n * width}, "dy"), stored({tokens, width}, "f"),
            random_tensor(f32({tokens, n}), "post")};
  }
};

// Rows [first, first + count) of t.
Tensor rows(const Tensor& t, int64_t first, int64_t count) {
  Tensor some = t;
  const size_t row = t.bytes.size() / size_t(t.spec.shape[0]);
  some.spec.shape[0] = count;
  some.bytes.assign(t.bytes.begin() + long(size_t(first) * row),
                    t.bytes.begin() + long(size_t(first + count) * row));
  return some;
}

bool is_of_tokens(const Tensor& t, int64_t tokens) {
  return t.spec.dtype != DType::none && t.spec.shape[0] == tokens;
}

// Checks that outputs with one row per token do not depend on the other tokens: for each token in
// `of`, it and the count − 1 tokens after it have the same results alone as among all tokens.
void expect_independent(const Operator& op, const std::vector<Tensor>& in, const Desc& desc,
                        const std::vector<int64_t>& of, int64_t count) {
  const int64_t tokens = in[0].spec.shape[0];
  const auto all = run(op, in, desc, kCpu);
  for (const int64_t first : of) {
    std::vector<Tensor> some = in;
    for (Tensor& t : some)
      if (is_of_tokens(t, tokens)) t = rows(t, first, count);
    const auto alone = run(op, some, desc, kCpu);
    for (size_t k = 0; k < all.size(); ++k)
      if (is_of_tokens(all[k], tokens))
        expect_same_bits(alone[k], rows(all[k], first, count),
                         fmt::format("{} token {} output {}", op.name, first, k));
  }
}

void expect_all_independent(const Sublayer& s, const std::vector<int64_t>& of, int64_t count) {
  SCOPED_TRACE(fmt::format("{} x {} x {}", s.tokens, s.n, s.width));
  expect_independent(kMhcOpen, s.open(), s.desc(), of, count);
  expect_independent(kMhcOpenBackward, s.open_backward(), s.desc(), of, count);
  expect_independent(kMhcClose, s.close(), StreamsDesc{.n = s.n}, of, count);
  expect_independent(kMhcCloseBackward, s.close_backward(), StreamsDesc{.n = s.n}, of, count);
}

// Tokens are processed 16 and 32 at a time, in register tiles of 8 and 4 rows. This tests tokens at
// each border and in the remainder.
TEST(MhcPairs, ATokensBitsDoNotDependOnItsCompany) {
  for (const Sublayer s : {Sublayer{45, 46}, {45, 64}, {45, 34, 3}})
    expect_all_independent(s, {0, 3, 7, 8, 15, 16, 31, 32, 43, 44}, 1);
}

TEST(MhcPairs, WithoutTokensWeightsHaveNoGradient) {
  using B = MhcOpenBackward;
  for (const Sublayer s : {Sublayer{0, 64}, {0, 34, 3}}) {
    const auto d = run(kMhcOpenBackward, s.open_backward(), s.desc(), kCpu);
    for (const int k : {B::dphi, B::dalpha, B::db})
      for (const double value : d[size_t(k)].values()) ASSERT_EQ(value, 0) << k;
  }
}

// Like run(), but with output k in memory that starts at a cache line, as in the executor.
Tensor run_on_lines(const Operator& op, const std::vector<Tensor>& in, const Desc& desc, size_t k) {
  std::vector<TensorSpec> specs;
  for (const Tensor& t : in) specs.push_back(t.spec);
  const auto outputs = op.outputs(specs, desc);
  std::vector<Operand> operands;
  for (size_t i = 0; i < in.size(); ++i) operands.push_back({&specs[i], in[i].bytes.data()});
  std::vector<Result> results;
  for (const Output& out : outputs) results.push_back({&out.spec, nullptr, nullptr});
  const Workspace w = workspace(op, specs, desc, {});
  const size_t stride = (w.per_thread + 63) / 64 * 64;
  Buffer slot(outputs[k].spec.bytes()), shared(w.shared), per_thread(2 * stride);
  results[k].data = slot.data();
  ThreadTeam team(2);
  Context context{.team = &team,
                  .shared_workspace = shared.data(),
                  .thread_workspaces = per_thread.data(),
                  .thread_stride = stride};
  implementation(op, specs, desc, {})->run({operands, results, &desc, &context});
  Tensor made(outputs[k].spec);
  std::copy_n(slot.data(), made.bytes.size(), made.bytes.begin());
  return made;
}

// From 4 MiB on, rows of whole cache lines are stored past the caches. They must equal rows that
// are not, because their memory starts amid a line. Rows of 262 channels are not whole lines.
TEST(MhcPairs, RowsStoredPastTheCachesAreTheSame) {
  for (const int64_t width : {256, 262}) {
    const Sublayer s{.tokens = 2051, .width = width};
    const auto check = [&](const Operator& op, const std::vector<Tensor>& in, const Desc& desc) {
      expect_same_bits(run_on_lines(op, in, desc, 0), run(op, in, desc, kCpu)[0],
                       fmt::format("{} of width {}", op.name, width));
    };
    check(kMhcOpenBackward, s.open_backward(), s.desc());  // dx
    check(kMhcClose, s.close(), StreamsDesc{.n = s.n});    // y
  }
}

TEST(MhcPairs, ANanStaysInItsToken) {
  const Sublayer s{.tokens = 37, .width = 46};
  const int64_t token = 16, tokens = s.tokens;
  const auto check = [&](const Operator& op, const std::vector<Tensor>& in, const Desc& desc,
                         int input) {
    const auto clean = run(op, in, desc, kCpu);
    auto spoilt = in;
    const int64_t row = in[size_t(input)].spec.count() / tokens;
    for (int64_t e = 0; e < row; ++e) spoilt[size_t(input)].set(token * row + e, NAN);
    const auto out = run(op, spoilt, desc, kCpu);
    for (size_t k = 0; k < out.size(); ++k) {
      if (!is_of_tokens(out[k], tokens)) continue;
      const auto what = fmt::format("{} input {} output {}", op.name, input, k);
      expect_same_bits(rows(out[k], 0, token), rows(clean[k], 0, token), what);
      const int64_t after = tokens - token - 1;
      expect_same_bits(rows(out[k], token + 1, after), rows(clean[k], token + 1, after), what);
    }
    EXPECT_TRUE(std::isnan(out[0].at(token * (out[0].spec.count() / tokens)))) << op.name << input;
  };
  check(kMhcOpen, s.open(), s.desc(), MhcOpen::x);
  using B = MhcOpenBackward;
  for (const int input : {B::x, B::u, B::dh, B::dlink, B::dres})
    check(kMhcOpenBackward, s.open_backward(), s.desc(), input);
  for (const int input : {MhcClose::link, MhcClose::f, MhcClose::res})
    check(kMhcClose, s.close(), StreamsDesc{.n = s.n}, input);
  check(kMhcCloseBackward, s.close_backward(), StreamsDesc{.n = s.n}, MhcCloseBackward::dy);
}

double norm_of_error(const Tensor& got, const Tensor& want) {
  double error = 0, size = 0;
  for (int64_t e = 0; e < want.spec.count(); ++e) {
    error += (got.at(e) - want.at(e)) * (got.at(e) - want.at(e));
    size += want.at(e) * want.at(e);
  }
  return std::sqrt(error / size);
}

// A product is off by 2^-17·0.33 of itself at random, and so is the sum in norm: 2.5e-6. Without
// the second bf16 of phi it would be 2^-8·0.33 = 1.3e-3. dphi, dalpha and db are computed in f32: a
// dz rounded to bf16 would show as 1.6e-3 in dphi. The sums here are over 300 tokens and 2048
// channels.
TEST(MhcPairs, OfPhiSixteenBitsCountForwardAndOfDzAllInDphi) {
  const Sublayer s{.tokens = 300, .width = 512, .n = 4, .phi_scale = 0.02};
  const auto in = s.open();
  const auto u = run(kMhcOpen, in, s.desc(), kCpu)[MhcOpen::u];
  const auto exact = run(kMhcOpen, in_double(in), s.desc());
  EXPECT_LT(norm_of_error(u, exact[MhcOpen::u]), 4e-6);
  const auto back = s.open_backward();
  const auto got = run(kMhcOpenBackward, back, s.desc(), kCpu);
  const auto want = run(kMhcOpenBackward, in_double(back), s.desc());
  for (const int k : {MhcOpenBackward::dphi, MhcOpenBackward::dalpha, MhcOpenBackward::db})
    EXPECT_LT(norm_of_error(got[size_t(k)], want[size_t(k)]), 4e-6) << k;
  // The bound allows the rounding of dx (2^-8·0.42 in norm) and of both factors of dz·phiᵀ.
  EXPECT_LT(norm_of_error(got[MhcOpenBackward::dx], want[MhcOpenBackward::dx]), 1.0 / 256);
}

}  // namespace
}  // namespace birkhoff::testing
