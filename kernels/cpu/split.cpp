#include "kernels/split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/split.cpp"
#include "kernels/cpu/targets.h"
// after it:
#include "kernels/cpu/copy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

void SplitRows(const Args& args) {
  const auto& desc = args.desc<Split::Desc>();
  const int64_t width = desc.first + desc.second;
  const float* x = args.in<float>(Split::x);
  const To a(args, Split::a), b(args, Split::b);
  args.team().ranges(args.dim(Split::x, 0), kSplitTokens,
                     [&](int64_t begin, int64_t end, int) HWY_ATTR {
                       for (int64_t t = begin; t < end; ++t) {
                         a.copy(x + t * width, t * desc.first, desc.first);
                         b.copy(x + t * width + desc.first, t * desc.second, desc.second);
                       }
                     });
}

void ConcatRows(const Args& args) {
  const auto& desc = args.desc<Concat::Desc>();
  const int64_t width = desc.first + desc.second;
  const float *a = args.in<float>(Concat::a), *b = args.in<float>(Concat::b);
  const To x(args, Concat::x);
  args.team().ranges(args.outputs[Concat::x].spec->shape[0], kSplitTokens,
                     [&](int64_t begin, int64_t end, int) HWY_ATTR {
                       for (int64_t t = begin; t < end; ++t) {
                         x.copy(a ? a + t * desc.first : nullptr, t * width, desc.first);
                         x.copy(b ? b + t * desc.second : nullptr, t * width + desc.first,
                                desc.second);
                       }
                     });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(SplitRows);
HWY_EXPORT(ConcatRows);

void split(const Args& args) { HWY_DYNAMIC_DISPATCH(SplitRows)(args); }
void concat(const Args& args) { HWY_DYNAMIC_DISPATCH(ConcatRows)(args); }

}  // namespace birkhoff::cpu
#endif
