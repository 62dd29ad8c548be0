#include "kernels/mla_keys.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void mla_keys(const Args& args) {
  const Input kv(args, MlaKeys::kv), k_rope(args, MlaKeys::k_rope);
  const Output k(args, MlaKeys::k), v(args, MlaKeys::v);
  const auto& d = args.desc<MlaKeys::Desc>();
  for (int64_t t = 0; t < args.dim(MlaKeys::kv, 0); ++t)
    for (int64_t h = 0; h < d.heads; ++h) {
      const int64_t head = t * d.heads + h, from = head * (d.nope + d.value);
      const int64_t to = head * (d.nope + d.rope);
      for (int64_t i = 0; i < d.nope; ++i) k.set(to + i, kv[from + i]);
      for (int64_t i = 0; i < d.rope; ++i) k.set(to + d.nope + i, k_rope[t * d.rope + i]);
      for (int64_t i = 0; i < d.value; ++i) v.set(head * d.value + i, kv[from + d.nope + i]);
    }
}

void mla_keys_backward(const Args& args) {
  using B = MlaKeysBackward;
  const Input dk(args, B::dk), dv(args, B::dv);
  const Output dkv(args, B::dkv), dk_rope(args, B::dk_rope);
  const auto& d = args.desc<B::Desc>();
  const bool keys = args.has(B::dk), values = args.has(B::dv);
  for (int64_t t = 0; t < args.outputs[B::dkv].spec->shape[0]; ++t) {
    for (int64_t h = 0; h < d.heads; ++h) {
      const int64_t head = t * d.heads + h, to = head * (d.nope + d.value);
      const int64_t from = head * (d.nope + d.rope);
      for (int64_t i = 0; i < d.nope; ++i) dkv.set(to + i, keys ? dk[from + i] : 0);
      for (int64_t i = 0; i < d.value; ++i)
        dkv.set(to + d.nope + i, values ? dv[head * d.value + i] : 0);
    }
    for (int64_t i = 0; i < d.rope; ++i) {
      double sum = 0;
      for (int64_t h = 0; keys && h < d.heads; ++h)
        sum += dk[(t * d.heads + h) * (d.nope + d.rope) + d.nope + i];
      dk_rope.set(t * d.rope + i, sum);
    }
  }
}

}  // namespace birkhoff::reference
