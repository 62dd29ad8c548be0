#include "kernels/streams.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

Outputs copied(Specs in, const Desc& desc) {
  const TensorSpec& x = in[CopyStreams::x];
  const int64_t n = desc.as<StreamsDesc>().n;
  require(x.shape.size() == 2 && is_floating(x.dtype) && n >= 1, "copies of streams", "x {}, n {}",
          x, n);
  return {{.spec = {{x.shape[0], n * x.shape[1]}, x.dtype}}};
}

Outputs summed(Specs in, const Desc& desc) {
  const TensorSpec& x = in[SumStreams::x];
  const int64_t n = desc.as<StreamsDesc>().n;
  require(x.shape.size() == 2 && is_floating(x.dtype) && n >= 1 && x.shape[1] % n == 0,
          "sums of streams", "x {}, n {}", x, n);
  return {{.spec = {{x.shape[0], x.shape[1] / n}, x.dtype}}};
}

}  // namespace

constinit const Operator kCopyStreams{
    .name = "copy_streams",
    .outputs = copied,
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<cpu::copy_streams>, {}, kReferenceBody<reference::copy_streams>},
    .gradient = [](Gradient& g) { g.emit(kSumStreams, {g.dy()}, {g.in(0)}, g.desc()); },
};

constinit const Operator kSumStreams{
    .name = "sum_streams",
    .outputs = summed,
    .flops =
        [](Specs in, const Desc& desc) {
          const int64_t elements = in[SumStreams::x].count();
          const int64_t sums = elements / desc.as<StreamsDesc>().n;
          return double(elements - sums);
        },
    .implementations = {kCpuBody<cpu::sum_streams>, {}, kReferenceBody<reference::sum_streams>},
    .gradient = [](Gradient& g) { g.emit(kCopyStreams, {g.dy()}, {g.in(0)}, g.desc()); },
};

constinit const Operator kSpreadStreams{
    .name = "spread_streams",
    .outputs = copied,
    .flops = [](Specs in, const Desc&) { return double(in[CopyStreams::x].count()); },
    .implementations = {kCpuBody<cpu::spread_streams>,
                        {},
                        kReferenceBody<reference::spread_streams>},
    .gradient = [](Gradient& g) { g.emit(kMeanStreams, {g.dy()}, {g.in(0)}, g.desc()); },
};

constinit const Operator kMeanStreams{
    .name = "mean_streams",
    .outputs = summed,
    .flops = [](Specs in, const Desc&) { return double(in[SumStreams::x].count()); },
    .implementations = {kCpuBody<cpu::mean_streams>, {}, kReferenceBody<reference::mean_streams>},
    .gradient = [](Gradient& g) { g.emit(kSpreadStreams, {g.dy()}, {g.in(0)}, g.desc()); },
};

}  // namespace birkhoff
