#include "kernels/mla_keys.h"

#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mla_keys.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/copy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void join_rows(const Args& args) {
  const auto& desc = args.desc<MlaKeys::Desc>();
  const T *kv = args.in<T>(MlaKeys::kv), *k_rope = args.in<T>(MlaKeys::k_rope);
  const To<T> k(args, MlaKeys::k), v(args, MlaKeys::v);
  args.team().ranges(args.dim(MlaKeys::kv, 0), kMlaKeysTokens,
                     [&](int64_t begin, int64_t end, int) HWY_ATTR {
                       for (int64_t head = begin * desc.heads; head < end * desc.heads; ++head) {
                         const T* from = kv + head * (desc.nope + desc.value);
                         const int64_t to = head * (desc.nope + desc.rope);
                         k.copy(from, to, desc.nope);
                         k.copy(k_rope + head / desc.heads * desc.rope, to + desc.nope, desc.rope);
                         v.copy(from + desc.nope, head * desc.value, desc.value);
                       }
                     });
}

// dk_rope of one token: the sum over heads of the last `rope` elements of dk.
template <class T>
HWY_INLINE void sum_over_heads(const T* dk, const MlaKeys::Desc& desc, const To<T>& dk_rope,
                               int64_t at) {
  if (!dk_rope.out) return;
  const int64_t key = desc.nope + desc.rope;
  each_vector(desc.rope, [&](auto d, int64_t i) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int64_t h = 0; dk && h < desc.heads; ++h)
      sum = hn::Add(sum, load(d, dk + h * key + desc.nope + i));
    set(d, sum, dk_rope.base, dk_rope.out, at + i);
  });
}

template <class T>
void part_rows(const Args& args) {
  using B = MlaKeysBackward;
  const auto& desc = args.desc<B::Desc>();
  const T *dk = args.in<T>(B::dk), *dv = args.in<T>(B::dv);
  const To<T> dkv(args, B::dkv), dk_rope(args, B::dk_rope);
  const int64_t key = desc.nope + desc.rope, tokens = args.outputs[B::dkv].spec->shape[0];
  args.team().ranges(tokens, kMlaKeysTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t head = begin * desc.heads; head < end * desc.heads; ++head) {
      const int64_t to = head * (desc.nope + desc.value);
      dkv.copy(dk ? dk + head * key : nullptr, to, desc.nope);
      dkv.copy(dv ? dv + head * desc.value : nullptr, to + desc.nope, desc.value);
    }
    for (int64_t t = begin; t < end; ++t)
      sum_over_heads(dk ? dk + t * desc.heads * key : nullptr, desc, dk_rope, t * desc.rope);
  });
}

}  // namespace

void MlaKeysRows(const Args& args) {
  with_storage(args.inputs[MlaKeys::kv].spec->dtype, [&](auto t) { join_rows<decltype(t)>(args); });
}
void MlaKeysBackwardRows(const Args& args) {  // either input may be absent
  with_storage(args.outputs[MlaKeysBackward::dkv].spec->dtype,
               [&](auto t) { part_rows<decltype(t)>(args); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {

HWY_EXPORT(MlaKeysRows);
HWY_EXPORT(MlaKeysBackwardRows);

void mla_keys(const Args& args) { HWY_DYNAMIC_DISPATCH(MlaKeysRows)(args); }
void mla_keys_backward(const Args& args) { HWY_DYNAMIC_DISPATCH(MlaKeysBackwardRows)(args); }

}  // namespace birkhoff::cpu
#endif
