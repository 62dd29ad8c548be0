#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/embedding.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {
namespace {  // other files may use the same names

constexpr int64_t kTokens = 64;    // Tokens per forward task.
constexpr int64_t kColumns = 128;  // Columns per backward task: 512 bytes of a row, whole lines.

template <class T>
void gather(const Args& a) {
  const int64_t tokens = a.dim(Embedding::token, 0), width = a.dim(Embedding::table, 1);
  const int32_t* token = a.in<int32_t>(Embedding::token);
  const float* table = a.in<float>(Embedding::table);
  const T* base = a.base<T>(Embedding::y);
  T* y = a.out<T>(Embedding::y);
  a.team().ranges(tokens, kTokens, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t t = begin; t < end; ++t) {
      const float* row = table + token[t] * width;
      each_vector(width, [&](auto d, int64_t c) HWY_ATTR {
        set(d, hn::LoadU(d, row + c), base ? base + t * width : nullptr, y + t * width, c);
      });
    }
  });
}

// A task owns a range of columns and goes through all tokens in order, so that no two tasks share
// an element and each sum is in token order.
template <class T>
void scatter(const Args& a) {
  using B = EmbeddingBackward;
  const int64_t tokens = a.dim(B::token, 0), width = a.dim(B::table, 1), rows = a.dim(B::table, 0);
  const int32_t* token = a.in<int32_t>(B::token);
  const T* dy = a.in<T>(B::dy);
  const float* base = a.base<float>(B::dtable);
  float* dtable = a.out<float>(B::dtable);
  a.team().ranges(width, kColumns, [&](int64_t begin, int64_t end, int) HWY_ATTR {
    for (int64_t v = 0; base != dtable && v < rows; ++v) {
      float* row = dtable + v * width;
      if (base)
        std::copy(base + v * width + begin, base + v * width + end, row + begin);
      else
        std::fill(row + begin, row + end, 0.0f);
    }
    for (int64_t t = 0; t < tokens; ++t) {
      float* row = dtable + token[t] * width + begin;
      each_vector(end - begin, [&](auto d, int64_t c) HWY_ATTR {
        set(d, load(d, dy + t * width + begin + c), row, row, c);
      });
    }
  });
}

}  // namespace

void EmbeddingRows(const Args& a) {
  with_storage(a.outputs[Embedding::y].spec->dtype, [&](auto t) { gather<decltype(t)>(a); });
}
void EmbeddingBackwardRows(const Args& a) {
  with_storage(a.inputs[EmbeddingBackward::dy].spec->dtype,
               [&](auto t) { scatter<decltype(t)>(a); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {
namespace {

void require_tokens(const Args& a, int input, int64_t rows) {
  const int32_t* token = a.in<int32_t>(input);
  for (int64_t t = 0; t < a.count(input); ++t)
    if (token[t] < 0 || token[t] >= rows)
      throw DataError(
          fmt::format("[embedding] token id {} at position {} is outside the table of {} rows; "
                      "check that the data was prepared for this vocabulary",
                      token[t], t, rows));
}

}  // namespace

HWY_EXPORT(EmbeddingRows);
HWY_EXPORT(EmbeddingBackwardRows);

void embedding(const Args& a) {
  require_tokens(a, Embedding::token, a.dim(Embedding::table, 0));
  HWY_DYNAMIC_DISPATCH(EmbeddingRows)(a);
}

void embedding_backward(const Args& a) {
  require_tokens(a, EmbeddingBackward::token, a.dim(EmbeddingBackward::table, 0));
  HWY_DYNAMIC_DISPATCH(EmbeddingBackwardRows)(a);
}

}  // namespace birkhoff::cpu
#endif
