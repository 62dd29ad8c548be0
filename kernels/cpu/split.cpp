#include "kernels/split.h"

#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/split.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/copy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void split_rows(const Args& args) {
  const auto& desc = args.desc<Split::Desc>();
  const int64_t width = desc.first + desc.second;
  const T* x = args.in<T>(Split::x);
  const To<T> a(args, Split::a), b(args, Split::b);
  args.team().ranges(args.dim(Split::x, 0), kSplitTokens,
                     [&](int64_t begin, int64_t end, int) HWY_ATTR {
                       for (int64_t t = begin; t < end; ++t) {
                         a.copy(x + t * width, t * desc.first, desc.first);
                         b.copy(x + t * width + desc.first, t * desc.second, desc.second);
                       }
                     });
}

template <class T>
void concat_rows(const Args& args) {
  const auto& desc = args.desc<Concat::Desc>();
  const int64_t width = desc.first + desc.second;
  const T *a = args.in<T>(Concat::a), *b = args.in<T>(Concat::b);
  const To<T> x(args, Concat::x);
  args.team().ranges(args.outputs[Concat::x].spec->shape[0], kSplitTokens,
                     [&](int64_t begin, int64_t end, int) HWY_ATTR {
                       for (int64_t t = begin; t < end; ++t) {
                         x.copy(a ? a + t * desc.first : nullptr, t * width, desc.first);
                         x.copy(b ? b + t * desc.second : nullptr, t * width + desc.first,
                                desc.second);
                       }
                     });
}

}  // namespace

void SplitRows(const Args& args) {
  with_storage(args.inputs[Split::x].spec->dtype, [&](auto t) { split_rows<decltype(t)>(args); });
}
void ConcatRows(const Args& args) {  // either input may be absent
  with_storage(args.outputs[Concat::x].spec->dtype,
               [&](auto t) { concat_rows<decltype(t)>(args); });
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
