#include "kernels/cuda/readout.h"

#include <optional>

#include "base/error.h"
#include "kernels/readout.h"
#include "tests/cuda/opened.h"
#include "tests/cuda/support/on_device.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::reference {
void readout(const Args& args);
void readout_backward(const Args& args);
}  // namespace birkhoff::reference

namespace birkhoff::testing {
namespace {

struct Case {
  int64_t tokens, width;
  int n = 4;
  bool base = false;  // whether the backward adds to bases

  ReadoutDesc desc() const { return {.n = n, .eps = 1e-20, .weight_eps = 1e-3}; }
  std::string name() const { return fmt::format("{}x{}x{}", tokens, n, width); }
  int64_t wide() const { return n * width; }
  Tensor x() const { return random_tensor(bf16s({tokens, wide()}), "x"); }
  Tensor w() const {
    return random_tensor(f32s({wide(), n}), "w", 1.5 / std::sqrt(double(wide())));
  }
  Tensor scale() const { return random_tensor(f32s({1}), "scale", 0.3, 1); }
  Tensor bias() const { return random_tensor(f32s({n}), "base"); }
};

struct ReadoutRun {
  OnDevice<bf16> x, y;
  OnDevice<float> w, scale, base, u, rho;
  cuda::ReadoutArgs args;

  explicit ReadoutRun(const Case& c)
      : x(c.x()),
        y(bf16s({c.tokens, c.width})),
        w(c.w()),
        scale(c.scale()),
        base(c.bias()),
        u(f32s({c.tokens, c.n})),
        rho(f32s({c.tokens})),
        args{.x = x.data(),
             .w = w.data(),
             .scale = scale.data(),
             .base = base.data(),
             .y = y.data(),
             .u = u.data(),
             .rho = rho.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n,
             .eps = 1e-20f,
             .weight_eps = float(c.desc().weight_eps)} {}
};

Tensors forward_reference(const Case& c, const Tensor& w) {
  return reference_of(reference::readout, {c.x(), w, c.scale(), c.bias()},
                      {{c.tokens, c.width}, {c.tokens, c.n}, {c.tokens}}, c.desc());
}

// u and rho have the bounds of mhc_open's; y is compared with the result of the device's own u.
void check_forward(const Case& c) {
  SCOPED_TRACE(c.name());
  const ReadoutRun run(c);
  cuda::readout(run.args, nullptr);
  const Tensors want = forward_reference(c, as_tf32(c.w()));
  const Tensor x = c.x(), w = c.w(), scale = c.scale(), bias = c.bias();
  const Tensor u = run.u.tensor(), rho = run.rho.tensor(), y = run.y.tensor();
  for (int64_t t = 0; t < c.tokens; ++t) {
    const double inverse = want[Readout::rho].at(t), rms = relative_of_rms(c.wide());
    ASSERT_LE(std::fabs(rho.at(t) - inverse), rms * inverse) << t;
    std::vector<double> weights, errors;
    for (int64_t i = 0; i < c.n; ++i) {
      double terms = 0;
      for (int64_t e = 0; e < c.wide(); ++e)
        terms += std::fabs(x.at(t * c.wide() + e) * w.at(e * c.n + i));
      const double adds = double(c.n * ((c.width + 255) / 256) * 32 + 8);
      const double value = want[Readout::u].at(t * c.n + i), got = u.at(t * c.n + i);
      ASSERT_LE(std::fabs(got - value),
                adds * kUlp * terms * inverse + (rms + kUlp) * std::fabs(value))
          << "token " << t << " stream " << i;
      const double logit = scale.at(0) * got + bias.at(i), gate = 1 / (1 + std::exp(-logit));
      weights.push_back(gate + c.desc().weight_eps);
      errors.push_back((5 + 2 * std::fabs(logit)) * kUlp * weights.back());
    }
    for (int64_t e = 0; e < c.width; ++e) {
      double sum = 0, terms = 0;
      for (int64_t i = 0; i < c.n; ++i) {
        const double value = x.at(t * c.wide() + i * c.width + e);
        sum += weights[size_t(i)] * value;
        terms += (errors[size_t(i)] + c.n * kUlp * weights[size_t(i)]) * std::fabs(value);
      }
      ASSERT_LE(std::fabs(y.at(t * c.width + e) - sum), kStored * std::fabs(sum) + 2 * terms)
          << "token " << t << " channel " << e;
    }
  }
}

const Case kCases[] = {{1, 8, 1}, {35, 40, 2}, {17, 72}, {9, 40, 8}};

TEST(CudaReadout, IsTheReference) {
  for (const Case& c : kCases) in_every_schedule([&] { check_forward(c); });
  for (const int64_t width : {1280, 1920, 2560})
    in_one_schedule([&] { check_forward({3, width}); });
}

TEST(CudaReadout, ATokensBitsAreThoseOfTheToken) {
  in_every_schedule([] {
    const Case c{19, 72};
    const ReadoutRun all(c), again(c), fewer(c);
    cuda::readout(all.args, nullptr);
    cuda::readout(again.args, nullptr);
    EXPECT_EQ(all.y.tensor().bytes, again.y.tensor().bytes);
    cuda::ReadoutArgs args = fewer.args;
    args.x += 5 * c.wide(), args.tokens -= 5;
    cuda::readout(args, nullptr);
    const auto want = all.y.tensor().bytes, got = fewer.y.tensor().bytes;
    EXPECT_TRUE(std::equal(want.begin() + long(5 * want.size() / 19), want.end(), got.begin()));
  });
}

TEST(CudaReadout, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const Case& c : {Case{17, 64}, Case{33, 64, 2}, Case{5, 32, 8}})
    in_every_schedule([&] {
      SCOPED_TRACE(c.name());
      const ReadoutRun run(c);
      reset_traffic();
      cuda::readout(run.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic t = traffic();
      const auto tokens = uint64_t(c.tokens), width = uint64_t(c.width), n = uint64_t(c.n);
      EXPECT_EQ(t.read, 2 * n * width * tokens + 4 * n * width * n + 4 * (1 + n));
      EXPECT_EQ(t.written, 2 * width * tokens + 4 * tokens * (n + 1));
      EXPECT_EQ(t.written_requested, t.written);
    });
}

// Inputs in the order of ReadoutBackward::In.
Tensors backward_inputs(const Case& c) {
  const Tensors out = forward_reference(c, c.w());
  return {random_tensor(bf16s({c.tokens, c.width}), "dy"),
          c.x(),
          c.w(),
          c.scale(),
          c.bias(),
          out[Readout::u].as(DType::f32),
          out[Readout::rho].as(DType::f32)};
}

using B = ReadoutBackward;

// Expected results in the order of ReadoutBackward::Out. Bounds are as for mhc_open_backward: a dot
// of dy and x has C/32 + 14 roundings, σ and its slope a dozen; dz is two bf16 in dw; in dx, dz and
// w are tf32.
std::vector<Bounded> backward_reference(const Case& c, const Tensors& in) {
  const Tensors values =
      reference_of(reference::readout_backward, in,
                   {{c.tokens, c.wide()}, {c.wide(), c.n}, {1}, {c.n}}, c.desc());
  std::vector<Bounded> all;
  for (const Tensor& v : values)
    all.push_back({v, Tensor(v.spec, std::vector<double>(size_t(v.spec.count()), 0.0))});
  const auto add = [&](int k, int64_t i, double error) {
    all[size_t(k)].bound.set(i, all[size_t(k)].bound.at(i) + error);
  };
  const double scale = in[B::scale].at(0), sums = kHalf * double(c.tokens + 40);
  for (int64_t t = 0; t < c.tokens; ++t) {
    const double rho = in[B::rho].at(t);
    double pull = 0, pull_error = 0;
    std::vector<double> gates, gate_error, dz, dz_error;
    for (int64_t i = 0; i < c.n; ++i) {
      const double u = in[B::u].at(t * c.n + i), logit = scale * u + in[B::base].at(i);
      const double gate = 1 / (1 + std::exp(-logit)), slope = gate * (1 - gate);
      double dot = 0, terms = 0;
      for (int64_t e = 0; e < c.width; ++e) {
        const double term =
            in[B::dy].at(t * c.width + e) * in[B::x].at(t * c.wide() + i * c.width + e);
        dot += term, terms += std::fabs(term);
      }
      const double d = dot * slope;
      // The slope of a gate near 1 is off by a rounding of that 1; a relative error of a logit is
      // multiplied by the logit in the gate.
      const double error = kHalf * ((double(c.width) / 32 + 14) * terms * slope +
                                    (12 + 4 * std::fabs(logit)) * std::fabs(dot));
      gates.push_back(gate + c.desc().weight_eps);
      gate_error.push_back((12 + 4 * std::fabs(logit)) * kHalf * gates.back());
      dz.push_back(std::fabs(rho * scale * d));
      dz_error.push_back(rho * std::fabs(scale) * (error + 4 * kHalf * std::fabs(d)));
      const double factor = rho * rho / double(c.wide()) * std::fabs(scale * u);
      pull += factor * std::fabs(d), pull_error += factor * (error + 12 * kHalf * std::fabs(d));
      add(B::dbase, i, error + sums * std::fabs(d));
      add(B::dscale, 0, std::fabs(u) * (error + (sums + 4 * kHalf) * std::fabs(d)));
    }
    for (int64_t e = 0; e < c.wide(); ++e) {
      const int64_t j = e / c.width, at = t * c.wide() + e;
      const double x = std::fabs(in[B::x].at(at)),
                   dy = std::fabs(in[B::dy].at(t * c.width + e % c.width));
      double terms = pull * x + gates[size_t(j)] * dy;
      double error = pull_error * x + gate_error[size_t(j)] * dy;
      for (int64_t i = 0; i < c.n; ++i) {
        const double w = std::fabs(in[B::w].at(e * c.n + i));
        terms += dz[size_t(i)] * w;
        error += (2 * 0x1p-11 * dz[size_t(i)] + dz_error[size_t(i)]) * w;
        add(B::dw, e * c.n + i, x * ((0x1p-16 + sums) * dz[size_t(i)] + dz_error[size_t(i)]));
      }
      error += kHalf * double(c.n + 6) * terms;
      add(B::dx, at, error + kStored * (error + std::fabs(values[B::dx].at(at))));
    }
  }
  return all;
}

struct ReadoutBackwardRun {
  cuda::MhcOpenBackwardCut cut;
  Tensors bases;  // for dw, dscale and dbase
  OnDevice<bf16> dy, x, dx;
  OnDevice<float> w, scale, base, u, rho, dw, dscale, dbase;
  DeviceArray<float> workspace;
  cuda::ReadoutBackwardArgs args;

  ReadoutBackwardRun(const Case& c, const Tensors& in)
      : cut(cuda::readout_backward_cut(c.tokens, c.width, c.n)),
        bases{random_tensor(in[B::w].spec, "dw base"), random_tensor(f32s({1}), "dscale base"),
              random_tensor(f32s({c.n}), "dbase base")},
        dy(in[B::dy]),
        x(in[B::x]),
        dx(in[B::x].spec),
        w(in[B::w]),
        scale(in[B::scale]),
        base(in[B::base]),
        u(in[B::u]),
        rho(in[B::rho]),
        dw(bases[0]),
        dscale(bases[1]),
        dbase(bases[2]),
        workspace(size_t(cut.workspace)),
        args{.dy = dy.data(),
             .x = x.data(),
             .w = w.data(),
             .scale = scale.data(),
             .base = base.data(),
             .u = u.data(),
             .rho = rho.data(),
             .dw_base = c.base ? dw.data() : nullptr,
             .dscale_base = c.base ? dscale.data() : nullptr,
             .dbase_base = c.base ? dbase.data() : nullptr,
             .dx = dx.data(),
             .dw = dw.data(),
             .dscale = dscale.data(),
             .dbase = dbase.data(),
             .workspace = workspace.data(),
             .tokens = c.tokens,
             .width = c.width,
             .n = c.n,
             .weight_eps = float(c.desc().weight_eps)} {}
  Tensors results() const { return {dx.tensor(), dw.tensor(), dscale.tensor(), dbase.tensor()}; }
};

void check_backward(const Case& c, void (*in_schedules)(const std::function<void()>&)) {
  SCOPED_TRACE(c.name());
  // Bounds in norm: the one rounding of dx; the error of dz as two bf16; some roundings of f32.
  const double norms[] = {kStored / std::sqrt(3), 0x1p-16, 0x1p-19, 0x1p-19};
  const char* const names[] = {"dx", "dw", "dscale", "dbase"};
  const Tensors in = backward_inputs(c);
  const std::vector<Bounded> want = backward_reference(c, in);
  std::optional<Tensors> first;
  in_schedules([&] {
    const ReadoutBackwardRun run(c, in);
    cuda::readout_backward(run.args, nullptr);
    const Tensors got = run.results();
    for (size_t k = 0; k < got.size(); ++k) {
      expect_within(got[k], want[k], names[k], norms[k],
                    c.base && k > 0 ? &run.bases[k - 1] : nullptr);
      EXPECT_EQ(got[k].bytes, (first ? *first : got)[k].bytes) << names[k] << ": other bits";
    }
    first = got;
  });
}

TEST(CudaReadoutBackward, IsTheReference) {
  for (const Case& c : {Case{1, 8, 1}, Case{37, 72, 2, true}, Case{70, 72}, Case{18, 40, 8}})
    check_backward(c, in_every_schedule);
  for (const int64_t width : {1280, 1920, 2560}) check_backward({2, width}, in_one_schedule);
}

TEST(CudaReadoutBackward, MovesExactlyWhatItMust) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const Case& c : {Case{70, 136}, Case{16, 64, 4, true}, Case{17, 72, 2}, Case{18, 64, 8}})
    in_every_schedule([&] {
      SCOPED_TRACE(c.name());
      const ReadoutBackwardRun run(c, backward_inputs(c));
      reset_traffic();
      cuda::readout_backward(run.args, nullptr);
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      const Traffic got = traffic();
      const auto t = uint64_t(c.tokens), n = uint64_t(c.n), width = uint64_t(c.width),
                 row = uint64_t(run.cut.row), base = uint64_t(c.base);
      const uint64_t w = 4 * n * width * n, sums = run.cut.blocks * 2 * n * 4,
                     partial = run.cut.splits * w, scalars = 4 * (1 + n);
      EXPECT_EQ(got.read, t * (2 * (n + 1) * width + 4 * (n + 1)) + scalars + sums +
                              base * scalars + t * (2 * (n + 1) * width + 4 * row) + w + partial +
                              base * w);
      EXPECT_EQ(got.written, t * 4 * row + sums + scalars + t * 2 * n * width + partial + w);
      EXPECT_EQ(got.written_requested, got.written);
    });
}

TEST(CudaReadout, Refuses) {
  in_every_schedule([] {
    const Case c{1, 8};
    const ReadoutRun run(c);
    cuda::ReadoutArgs args = run.args;
    args.n = 3;
    EXPECT_THROW(cuda::readout(args, nullptr), InternalError);
    args = run.args, args.y = nullptr;
    EXPECT_THROW(cuda::readout(args, nullptr), InternalError);
    const ReadoutBackwardRun back(c, backward_inputs(c));
    cuda::ReadoutBackwardArgs d = back.args;
    ++d.dy;
    EXPECT_THROW(cuda::readout_backward(d, nullptr), InternalError);
  });
}

}  // namespace
}  // namespace birkhoff::testing
