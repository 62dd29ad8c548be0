#include <cmath>
#include <optional>

#include "base/error.h"
#include "kernels/cuda/mhc_backward.h"
#include "tests/cuda/mhc_backward_oracle.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

// Bound in norm for some roundings of f32.
constexpr double kRoundings = 0x1p-20;

// In the order of MhcCloseBackward::In, then link, which the pass reads but the operator does not.
enum In { kDy = MhcCloseBackward::dy, kF = MhcCloseBackward::f, kPost, kLink };
Tensors close_backward_inputs(const MhcCase& c) {
  const int64_t t = c.tokens, wide = c.n * c.width;
  return {random_tensor(bf16s({t, wide}), "dy"), random_tensor(bf16s({t, c.width}), "f"),
          random_tensor(f32s({t, c.n}), "post"), random_tensor(bf16s({t, wide}), "link")};
}

// df and dpost by the operator, and dres_ij = <dy_i, link_j>, which the operator leaves to
// mhc_open_backward.
Tensors close_backward_reference(const MhcCase& c, const Tensors& in) {
  const int64_t t = c.tokens, n = c.n;
  Tensors all = reference_of(reference::mhc_close_backward, {in[kDy], in[kF], in[kPost]},
                             {{t, c.width}, {t, n}}, StreamsDesc{.n = c.n});
  all.emplace_back(TensorSpec{{t, n * n}, DType::f64});
  for (int64_t row = 0; row < t * n; ++row)
    for (int64_t j = 0; j < n; ++j)
      all.back().set(row * n + j, dot_of(in[kDy], row, in[kLink], row / n * n + j, c.width));
  return all;
}

// Roundings of sums over channels: those in a lane (every 32nd pack), then five shuffles. df sums n
// products.
std::vector<Bounded> close_backward_oracle(const MhcCase& c, const Tensors& in) {
  using B = MhcCloseBackward;
  const int64_t n = c.n, width = c.width;
  Tensors absolute = in;
  for (Tensor& tensor : absolute)
    for (int64_t i = 0; i < tensor.spec.count(); ++i) tensor.set(i, std::fabs(tensor.at(i)));
  Tensors values = close_backward_reference(c, in), bounds = close_backward_reference(c, absolute);
  std::vector<Bounded> all;
  for (size_t k = 0; k < values.size(); ++k) {
    const bool is_df = k == B::df;
    const double rounding = kHalf * (is_df ? double(n) : double(width) / 32 + 14);
    for (int64_t i = 0; i < bounds[k].spec.count(); ++i)
      bounds[k].set(i, (is_df ? 1 + kStored : 1) * rounding * bounds[k].at(i) +
                           (is_df ? kStored * std::fabs(values[k].at(i)) : 0));
    all.push_back({values[k], bounds[k]});
  }
  return all;
}

struct CloseBackwardRun {
  OnDevice<bf16> dy, link, f, df;
  OnDevice<float> post, dpost, dres;
  cuda::MhcCloseBackwardArgs args;

  CloseBackwardRun(const MhcCase& c, const Tensors& in)
      : dy(in[kDy]),
        link(in[kLink]),
        f(in[kF]),
        df(in[kF].spec),
        post(in[kPost]),
        dpost(in[kPost].spec),
        dres(c.floats(c.n * c.n)),
        args{.dy = dy.data(),
             .link = link.data(),
             .f = f.data(),
             .post = post.data(),
             .df = df.data(),
             .dpost = dpost.data(),
             .dres = dres.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n} {}
  Tensors results() const { return {df.tensor(), dpost.tensor(), dres.tensor()}; }
};

TEST(CudaMhcCloseBackward, IsTheReference) {
  for (const MhcCase& c : {MhcCase{.tokens = 1, .width = 8, .n = 1},
                           {.tokens = 6, .width = 264, .n = 1},
                           {.tokens = 5, .width = 72, .n = 2},
                           {.tokens = 9, .width = 520},
                           {.tokens = 3, .width = 264, .n = 8},
                           {.tokens = 2, .width = 1280},
                           {.tokens = 2, .width = 1920},
                           {.tokens = 3, .width = 2560}}) {
    SCOPED_TRACE(c.name());
    const Tensors in = close_backward_inputs(c);
    const std::vector<Bounded> want = close_backward_oracle(c, in);
    std::optional<Tensors> first;
    in_every_schedule([&] {
      const CloseBackwardRun run(c, in);
      cuda::mhc_close_backward(run.args, nullptr);
      const Tensors got = run.results();
      for (size_t k = 0; k < got.size(); ++k) {
        expect_within(got[k], want[k], "df, dpost or dres",
                      k == 0 ? kStored / std::sqrt(3) : kRoundings);
        EXPECT_EQ(got[k].bytes, (first ? *first : got)[k].bytes) << k << ": other bits";
      }
      if (!first) first = got;
    });
  }
}

TEST(CudaMhcCloseBackward, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcCase& c : {MhcCase{.tokens = 5, .width = 512}, {.tokens = 6, .width = 272, .n = 8}})
    in_every_schedule([&] {
      const CloseBackwardRun run(c, close_backward_inputs(c));
      reset_traffic();
      cuda::mhc_close_backward(run.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const auto tokens = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width);
      EXPECT_EQ(t.read, tokens * (2 * (2 * n + 1) * width + 4 * n));
      EXPECT_EQ(t.read_requested, t.read);
      EXPECT_EQ(t.written, tokens * (2 * width + 4 * (n + n * n)));
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.sectors, t.fewest_sectors);
    });
}

// In two passes (a) has no link: the bits of df and dpost are the same, and 6 elements per channel
// are moved.
TEST(CudaMhcCloseBackward, WithoutALink) {
  for (const MhcCase& c : {MhcCase{.tokens = 5, .width = 512},
                           {.tokens = 3, .width = 264, .n = 1},
                           {.tokens = 6, .width = 72, .n = 2},
                           {.tokens = 6, .width = 272, .n = 8}})
    in_every_schedule([&] {
      const Tensors in = close_backward_inputs(c);
      const CloseBackwardRun with(c, in), without(c, in);
      cuda::mhc_close_backward(with.args, nullptr);
      const Tensors want = with.results();
      auto args = without.args;
      args.link = nullptr, args.dres = nullptr;
      reset_traffic();
      cuda::mhc_close_backward(args, nullptr);
      const Tensors got = without.results();
      EXPECT_EQ(got[0].bytes, want[0].bytes);
      EXPECT_EQ(got[1].bytes, want[1].bytes);
      args.dres = without.dres.data();
      EXPECT_THROW(cuda::mhc_close_backward(args, nullptr), InternalError);
      if (!has_checker()) return;
      const auto tokens = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width);
      EXPECT_EQ(traffic().read, tokens * (2 * (n + 1) * width + 4 * n));
      EXPECT_EQ(traffic().written, tokens * (2 * width + 4 * n));
      EXPECT_EQ(traffic().read_requested + traffic().written_requested,
                traffic().read + traffic().written);
    });
}

}  // namespace
}  // namespace birkhoff::testing
