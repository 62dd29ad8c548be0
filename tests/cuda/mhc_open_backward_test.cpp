#include "kernels/cuda/mhc_backward.h"

#include <cmath>
#include <memory>
#include <optional>

#include "base/error.h"
#include "tests/cuda/mhc_backward_oracle.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

const char* const kNames[] = {"dx", "dphi", "dalpha", "db"};
// In norm. dx: roundings to bf16 are spread evenly over ± half of the last place, 2^-8/√3 where all
// digits are small (measured: 1.5e-3 to 1.8e-3). dphi: what two bf16 leave of dz (measured: 2e-6 to
// 4e-6; 2e-4 by tf32, 1.7e-3 by one bf16). The sums: some roundings of f32 (measured: 3e-8 to 8e-7,
// and 2.6e-6 at logits of 100, each known to 100·2^-24).
constexpr double kRoundings = 0x1p-20;
double norm_bound(const MhcBackwardCase& c, int output) {
  using B = MhcOpenBackward;
  return output == B::dx     ? kStored / std::sqrt(3)
         : output == B::dphi ? kHalves
                             : c.logits * kRoundings;
}

// mhc_open_backward of a case on the device.
class OpenTrial {
 public:
  using B = MhcOpenBackward;

  OpenTrial(const MhcBackwardCase& c, const Tensors& in)
      : case_(c),
        cut(cuda::mhc_open_backward_cut(c.tokens, c.width, c.n)),
        x_(values_of<bf16>(in[B::x])),
        dh_(values_of<bf16>(in[B::dh])),
        dlink_(values_of<bf16>(in[B::dlink])),
        dx_(in[B::x].spec.count()),
        workspace_(size_t(cut.workspace)) {
    for (const int i : {B::phi, B::alpha, B::b, B::u, B::rho, B::dpost, B::dres})
      floats_.emplace_back(std::make_unique<DeviceArray<float>>(values_of<float>(in[size_t(i)])));
    for (const Tensor& base : bases())
      sums_.emplace_back(std::make_unique<DeviceArray<float>>(values_of<float>(base)));
  }
  Tensors bases() const {
    return {random_tensor(f32s({case_.n * case_.width, case_.columns()}), "dphi base"),
            random_tensor(f32s({3}), "dalpha base"),
            random_tensor(f32s({case_.columns()}), "db base")};
  }
  cuda::MhcOpenBackwardArgs args() const {
    const auto in = [&](size_t i) { return floats_[i]->data(); };
    const auto sum = [&](size_t i) { return sums_[i]->data(); };
    return {.x = x_.data(),
            .dh = dh_.data(),
            .dlink = dlink_.data(),
            .phi = in(0),
            .alpha = in(1),
            .b = in(2),
            .u = in(3),
            .rho = in(4),
            .dpost = in(5),
            .dres = in(6),
            .dphi_base = case_.base ? sum(0) : nullptr,
            .dalpha_base = case_.base ? sum(1) : nullptr,
            .db_base = case_.base ? sum(2) : nullptr,
            .dx = dx_.data(),
            .dphi = sum(0),
            .dalpha = sum(1),
            .db = sum(2),
            .workspace = workspace_.data(),
            .tokens = case_.tokens,
            .width = case_.width,
            .n = case_.n,
            .iterations = case_.desc().iterations,
            .v4 = case_.v4,
            .sinkhorn_eps = float(case_.desc().sinkhorn_eps)};
  }
  // In the order of MhcOpenBackward::Out.
  Tensors results() const {
    Tensors all = {from_device(dx_, bf16s({case_.tokens, case_.n * case_.width}))};
    const Tensors like = bases();
    for (size_t i = 0; i < 3; ++i) all.push_back(from_device(*sums_[i], like[i].spec));
    return all;
  }

 private:
  MhcBackwardCase case_;

 public:
  cuda::MhcOpenBackwardCut cut;

 private:
  DeviceArray<bf16> x_, dh_, dlink_, dx_;
  DeviceArray<float> workspace_;
  std::vector<std::unique_ptr<DeviceArray<float>>> floats_, sums_;
};

using InSchedules = void (*)(const std::function<void()>&);

void expect_open_backward(const MhcBackwardCase& c, InSchedules in_schedules = in_every_schedule) {
  SCOPED_TRACE(c.label());
  const Tensors in = open_backward_inputs(c);
  const std::vector<Bounded> want = open_backward_oracle(c, in);
  std::optional<Tensors> first;
  in_schedules([&] {
    const OpenTrial trial(c, in);
    cuda::mhc_open_backward(trial.args(), nullptr);
    const Tensors got = trial.results(), bases = trial.bases();
    for (size_t k = 0; k < got.size(); ++k) {
      expect_within(got[k], want[k], kNames[k], norm_bound(c, int(k)),
                    c.base && k > 0 ? &bases[k - 1] : nullptr);
      EXPECT_EQ(got[k].bytes, (first ? *first : got)[k].bytes) << kNames[k] << ": other bits";
    }
    if (!first) first = got;
  });
}

TEST(CudaMhcOpenBackward, IsTheReference) {
  for (const MhcBackwardCase& c :
       {MhcBackwardCase{.tokens = 1, .width = 8, .n = 1},
        {.tokens = 37, .width = 72, .n = 1, .base = true},
        {.tokens = 19, .width = 64, .n = 2},
        {.tokens = 9, .width = 72, .n = 2, .v4 = true},
        {.tokens = 70, .width = 72},  // two splits, tiles and slabs that end early
        {.tokens = 17, .width = 24, .v4 = true, .base = true},
        {.tokens = 5, .width = 40, .n = 8},
        {.tokens = 3, .width = 8, .n = 8, .v4 = true}})
    expect_open_backward(c);
}

// A first column that is all but 0 or 1: nothing under- or overflows.
TEST(CudaMhcOpenBackward, TakesLogitsOfAHundred) {
  for (const bool v4 : {false, true})
    expect_open_backward({.tokens = 6, .width = 16, .v4 = v4, .logits = 60});
}

TEST(CudaMhcOpenBackward, IsTheReferenceAtTheWidthOf3B) {
  expect_open_backward({.tokens = 3, .width = 1280}, in_one_schedule);
}
TEST(CudaMhcOpenBackward, IsTheReferenceAtTheWidthOf9B) {
  expect_open_backward({.tokens = 2, .width = 1920}, in_one_schedule);
}
TEST(CudaMhcOpenBackward, IsTheReferenceAtTheWidthOf27B) {
  expect_open_backward({.tokens = 2, .width = 2560}, in_one_schedule);
}

// At C = 2560 and n = 4 a token's row of coefficients is read by 40 slabs, 7.5 KB beside the 143 KB
// that its streams move, and phi by 8 splits.
TEST(CudaMhcOpenBackward, AsksForLittleTwice) {
  const auto cut = cuda::mhc_open_backward_cut(4096, 2560, 4);
  const double streams = 4096.0 * 18 * 2560 * 2;  // 18C: (b) and (c)
  const double rows = 4096.0 * cut.slabs * double(cut.row) * 4, phi = 4.0 * 4 * 2560 * 24;
  EXPECT_LE(rows + cut.splits * phi, 0.15 * streams);
}

struct Bytes {
  uint64_t read = 0, written = 0;
  uint64_t again = 0;  // what is asked for by more than one block
};

// The table of docs/kernels_backward.md, of both kernels of (b) and both of (c).
Bytes open_backward_bytes(const OpenTrial& trial, const MhcBackwardCase& c) {
  const auto t = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width),
             k = uint64_t(c.columns()), row = uint64_t(trial.cut.row);
  const uint64_t phi = 4 * n * width * k, base = c.base ? 1 : 0;
  const uint64_t sums = uint64_t(trial.cut.blocks) * 2 * k * 4, partial = trial.cut.splits * phi;
  Bytes bytes;
  bytes.read += t * (2 * (n + 1) * width + 4 * (k + 1 + n + n * n)) + 4 * (3 + k);  // (b)
  bytes.written += t * 4 * row + sums;
  bytes.read += sums + base * 4 * (3 + k);
  bytes.written += 4 * (3 + k);
  bytes.read += t * (2 * (2 * n + 1) * width + 4 * row) + phi;  // (c)
  bytes.written += t * 2 * n * width + partial;
  bytes.read += partial + base * phi;
  bytes.written += phi;
  bytes.again = (trial.cut.blocks - 1) * 4 * (3 + k) + (trial.cut.splits - 1) * phi +
                (trial.cut.slabs - 1) * t * 4 * row;
  return bytes;
}

TEST(CudaMhcOpenBackward, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const MhcBackwardCase& c : {MhcBackwardCase{.tokens = 70, .width = 136},
                                   {.tokens = 16, .width = 64, .base = true},
                                   {.tokens = 16, .width = 64, .n = 1},
                                   {.tokens = 17, .width = 72, .n = 2},
                                   {.tokens = 18, .width = 64, .n = 8}}) {
    SCOPED_TRACE(c.label());
    const Tensors in = open_backward_inputs(c);
    in_every_schedule([&] {
      const OpenTrial trial(c, in);
      reset_traffic();
      cuda::mhc_open_backward(trial.args(), nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const Bytes bytes = open_backward_bytes(trial, c);
      EXPECT_EQ(t.read, bytes.read);
      EXPECT_EQ(t.written, bytes.written);
      EXPECT_EQ(t.written_requested, t.written);
      EXPECT_EQ(t.read_requested, bytes.read + bytes.again);
      // At n = 1 and 2 what leaves (b) does with conflicts, once a token; at n = 8 three threads of
      // the last block do, once a call.
      if (c.n == 4)
        EXPECT_EQ(t.wavefronts, t.fewest_wavefronts);
      else
        EXPECT_LE(double(t.wavefronts), 1.03 * double(t.fewest_wavefronts));
      if (c.n == 4 && c.width % trial.cut.slab == 0) {
        EXPECT_EQ(t.sectors, t.fewest_sectors);
      }
    });
  }
}

TEST(CudaMhcOpenBackward, WithoutTokensIsItsBase) {
  in_every_schedule([] {
    const MhcBackwardCase c{.tokens = 0, .width = 8, .base = true};
    Tensors in = open_backward_inputs({.tokens = 1, .width = 8});
    const OpenTrial trial(c, in);
    cuda::mhc_open_backward(trial.args(), nullptr);
    const Tensors got = trial.results(), bases = trial.bases();
    for (size_t k = 0; k < bases.size(); ++k) EXPECT_EQ(got[k + 1].bytes, bases[k].bytes);
  });
}

TEST(CudaMhcOpenBackward, CutsByWhatIsAsked) {
  const auto cut = [](int64_t tokens, int64_t width) {
    return cuda::mhc_open_backward_cut(tokens, width, 4);
  };
  EXPECT_EQ(cut(4096, 2560).splits, 8u);
  EXPECT_EQ(cut(4096, 2560).slabs, 40u);
  EXPECT_EQ(cut(4096, 2560).split_tokens, 512);
  EXPECT_EQ(cut(4096, 2560).blocks, 512u);
  EXPECT_EQ(cut(64, 2560).splits, 1u);
  EXPECT_EQ(cut(65, 2560).splits, 2u);
  EXPECT_EQ(cut(1 << 20, 2560).splits, 8u);
  EXPECT_LE(cut(1 << 20, 2560).blocks, 1056u);
  EXPECT_EQ(cut(1, 72).slabs, 2u);
}

TEST(CudaMhcOpenBackward, Refuses) {
  in_every_schedule([] {
    const MhcBackwardCase c{.tokens = 1, .width = 8};
    const OpenTrial trial(c, open_backward_inputs(c));
    auto args = trial.args();
    args.n = 3;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
    args = trial.args();
    args.width = 12;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
    args = trial.args();
    ++args.dlink;
    EXPECT_THROW(cuda::mhc_open_backward(args, nullptr), InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
