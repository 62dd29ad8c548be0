#include "kernels/decode.h"

#include <cstring>

#include "kernels/bodies.h"
#include "kernels/cpu/attention_workspace.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/decode.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void decode_blocks(const Args& a) {
  using A = AttentionDecode;
  const auto& desc = a.desc<A::Desc>();
  const int64_t heads = desc.heads, tokens = a.dim(A::q, 0), length = *a.in<int32_t>(A::length);
  const int64_t blocks = (tokens + kAttentionBlock - 1) / kAttentionBlock;
  const T* base = a.base<T>(A::o);
  T* o = a.out<T>(A::o);
  if (!o) return;
  a.team().run(heads * blocks, [&](int64_t task, int worker) HWY_ATTR {
    const int64_t h = task % heads, from = task / heads * kAttentionBlock;
    const auto rows = [&](int i) {
      const int64_t row = a.dim(i, 1), width = row / heads;
      return RowsOf<T>{a.in<T>(i) + h * width, row, width};
    };
    const Head<T> head{rows(A::q), rows(A::k_cache), rows(A::v_cache), float(desc.scale)};
    const RowsOf<T>& v = head.v;
    Carver carver(a.thread_workspace<std::byte>(worker));
    const AttentionWorkspace w(carver, head.shape());
    QueryBlock b;
    for (int64_t t = from; t < std::min(from + kAttentionBlock, tokens); ++t) b.add(0, length + t);
    b.close();
    attend(head, from, b, w);
    for (int64_t i = 0; i < b.count; ++i) {
      const int64_t at = (from + i) * v.row + h * v.width;
      write_row(w.out + i * v.width, 1 / w.sum[i], v.width, base ? base + at : base, o + at);
    }
  });
}

}  // namespace

void DecodeBlocks(const Args& a) {
  with_storage(a.inputs[AttentionDecode::q].spec->dtype,
               [&](auto t) { decode_blocks<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {
namespace {

// length is data and indexes memory, so it is checked where it is read.
int64_t checked_length(std::string_view name, int64_t length, int64_t tokens, int64_t capacity) {
  check(length >= 0 && length + tokens <= capacity,
        "[{}] {} tokens after {} do not fit a cache of {}; generate fewer", name, tokens, length,
        capacity);
  return length;
}

HWY_EXPORT(DecodeBlocks);

using A = AttentionDecode;

void decode(const Args& a) {
  checked_length("attention_decode", *a.in<int32_t>(A::length), a.dim(A::q, 0),
                 a.dim(A::k_cache, 0));
  HWY_DYNAMIC_DISPATCH(DecodeBlocks)(a);
}

Workspace decode_workspace(Specs in, const Desc& desc) {
  const int64_t heads = desc.as<A::Desc>().heads;
  const TensorSpec &q = in[A::q], &v = in[A::v_cache];
  return {.per_thread = AttentionWorkspace::bytes(
              {q.dtype == DType::bf16, q.shape[1] / heads, v.shape[1] / heads})};
}

}  // namespace

constinit const Implementation attention_decode[] = {
    {.name = "cpu", .workspace = decode_workspace, .run = decode}};

void cache_write(const Args& a) {
  using C = CacheWrite;
  if (!a.wanted(C::cache)) return;
  const int64_t length = checked_length("cache_write", *a.in<int32_t>(C::length), a.dim(C::rows, 0),
                                        a.desc<C::Desc>().capacity);
  const TensorSpec& rows = *a.inputs[C::rows].spec;
  const size_t row = size_t(rows.shape[1]) * size_of(rows.dtype);
  std::memcpy(a.out<std::byte>(C::cache) + size_t(length) * row, a.in<std::byte>(C::rows),
              rows.bytes());
}

}  // namespace birkhoff::cpu
#endif
