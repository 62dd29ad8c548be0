#include "kernels/cuda/stream_ends.h"

#include "base/error.h"
#include "kernels/streams.h"
#include "tests/cuda/support/bounded.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void copy_streams(const Args& args);
void sum_streams(const Args& args);
void spread_streams(const Args& args);
void mean_streams(const Args& args);
}  // namespace birkhoff::reference

namespace birkhoff::testing {
namespace {

struct Op {
  const char* name;
  void (*run)(const cuda::StreamEndsArgs&, cudaStream_t);
  void (*reference)(const Args&);
  bool widens;
};
const Op kOps[] = {{"copy", cuda::copy_streams, reference::copy_streams, true},
                   {"spread", cuda::spread_streams, reference::spread_streams, true},
                   {"sum", cuda::sum_streams, reference::sum_streams, false},
                   {"mean", cuda::mean_streams, reference::mean_streams, false}};

struct Case {
  int64_t tokens, width;
  int n = 4;
  bool base = false;
};

struct EndsRun {
  TensorSpec from, to;
  OnDevice<bf16> x, y;
  cuda::StreamEndsArgs args;

  EndsRun(const Op& op, const Case& c)
      : from(bf16s({c.tokens, op.widens ? c.width : c.n * c.width})),
        to(bf16s({c.tokens, op.widens ? c.n * c.width : c.width})),
        x(random_tensor(from, "x")),
        y(random_tensor(to, "base")),
        args{.x = x.data(),
             .base = c.base ? y.data() : nullptr,
             .y = y.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n} {}
};

// The bound: n − 1 f32 sums of at most Σ|x|, one more with the base, and rounding to bf16.
void check_case(const Op& op, const Case& c) {
  SCOPED_TRACE(fmt::format("{} {}x{}x{} {}", op.name, c.tokens, c.n, c.width, c.base));
  const EndsRun run(op, c);
  const Tensor x = random_tensor(run.from, "x"), base = random_tensor(run.to, "base");
  const StreamsDesc desc{.n = c.n};
  Tensor absolute = x;
  for (int64_t i = 0; i < x.spec.count(); ++i) absolute.set(i, std::fabs(x.at(i)));
  const Tensor want = reference_of(op.reference, {x}, {run.to.shape}, desc)[0],
               terms = reference_of(op.reference, {absolute}, {run.to.shape}, desc)[0];
  op.run(run.args, nullptr);
  const Tensor got = run.y.tensor();
  for (int64_t i = 0; i < got.spec.count(); ++i) {
    const double added = c.base ? base.at(i) : 0, value = want.at(i) + added;
    const bool exact = op.widens && !c.base;
    const double sums = kHalf * c.n * (terms.at(i) + std::fabs(added));
    ASSERT_LE(std::fabs(got.at(i) - value), exact ? 0 : kStored * std::fabs(value) + 2 * sums) << i;
  }
}

TEST(CudaStreamEnds, AreTheReference) {
  for (const Op& op : kOps) {
    for (const Case& c :
         {Case{1, 8, 1}, Case{3, 264, 2, true}, Case{5, 40}, Case{5, 40, 4, true}, Case{2, 72, 8}})
      in_every_schedule([&] { check_case(op, c); });
    for (const int64_t width : {1280, 1920, 2560})
      in_one_schedule([&] { check_case(op, {2, width}); });
  }
}

TEST(CudaStreamEnds, MoveExactlyWhatTheyMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const Op& op : kOps)
    for (const Case& c : {Case{3, 528}, Case{3, 528, 4, true}, Case{2, 32, 8}})
      in_every_schedule([&] {
        const EndsRun run(op, c);
        reset_traffic();
        op.run(run.args, nullptr);
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        const Traffic t = traffic();
        EXPECT_EQ(t.read, run.from.bytes() + (c.base ? run.to.bytes() : 0)) << op.name;
        EXPECT_EQ(t.read_requested, t.read);
        EXPECT_EQ(t.written, run.to.bytes()) << op.name;
        EXPECT_EQ(t.written_requested, t.written);
        EXPECT_EQ(t.sectors, t.fewest_sectors) << op.name;
      });
}

TEST(CudaStreamEnds, Refuse) {
  in_every_schedule([] {
    for (const Op& op : kOps) {
      const EndsRun run(op, {1, 8});
      const auto refused = [&](auto change) {
        cuda::StreamEndsArgs args = run.args;
        change(args);
        EXPECT_THROW(op.run(args, nullptr), InternalError) << op.name;
      };
      refused([](auto& a) { a.n = 3; });
      refused([](auto& a) { a.width = 12; });
      refused([](auto& a) { ++a.x; });
      refused([](auto& a) { a.y = nullptr; });
    }
  });
}

}  // namespace
}  // namespace birkhoff::testing
