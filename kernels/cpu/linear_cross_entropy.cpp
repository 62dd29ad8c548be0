#include "kernels/linear_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/bodies.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/routines.h"
#include "kernels/storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear_cross_entropy.cpp"
#include "kernels/cpu/targets.h"
// must come after targets.h:
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace birkhoff::cpu::HWY_NAMESPACE {

// Highway's Exp returns 0 for NaN, which would make a broken row look like a certain one.
template <class D, class V>
HWY_INLINE V exp_or_nan(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

// Adds logits[0 … count) to a row's running maximum and Σ exp(l − maximum).
void AddLogits(const float* logits, int64_t count, float& maximum, float& sum) {
  const Tag d;
  auto maxima = hn::Set(d, maximum), sums = hn::Zero(d);
  float most = maximum, rest = 0;
  each_vector(count, [&](auto tag, int64_t i) HWY_ATTR {
    const auto l = hn::LoadU(tag, logits + i);
    if constexpr (std::is_same_v<decltype(tag), Tag>)
      maxima = hn::Max(maxima, l);
    else
      most = std::max(most, hn::GetLane(l));
  });
  most = std::max(most, hn::GetLane(hn::MaxOfLanes(d, maxima)));
  each_vector(count, [&](auto tag, int64_t i) HWY_ATTR {
    const auto e = exp_or_nan(tag, hn::Sub(hn::LoadU(tag, logits + i), hn::Set(tag, most)));
    if constexpr (std::is_same_v<decltype(tag), Tag>)
      sums = hn::Add(sums, e);
    else
      rest += hn::GetLane(e);
  });
  sum = sum * std::exp(maximum - most) + (hn::GetLane(hn::SumOfLanes(d, sums)) + rest);
  maximum = most;
}

// dl[i] = scale·exp(logits[i] − lse), rounded to T, where lse is log Σ exp of the row.
template <class T>
void scaled_softmax(const float* logits, int64_t count, float lse, float scale, T* dl) {
  each_vector(count, [&](auto d, int64_t i) HWY_ATTR {
    const auto e = exp_or_nan(d, hn::Sub(hn::LoadU(d, logits + i), hn::Set(d, lse)));
    store(d, hn::Mul(hn::Set(d, scale), e), dl + i);
  });
}
void ScaledSoftmax(const float* logits, int64_t count, float lse, float scale, float* dl) {
  scaled_softmax(logits, count, lse, scale, dl);
}
void ScaledSoftmaxRounded(const float* logits, int64_t count, float lse, float scale, bf16* dl) {
  scaled_softmax(logits, count, lse, scale, dl);
}

// out[i] = base[i] + sums[i], rounded; base may be null or out.
void RoundSums(const float* sums, int64_t count, const bf16* base, bf16* out) {
  each_vector(count,
              [&](auto d, int64_t i) HWY_ATTR { set(d, hn::LoadU(d, sums + i), base, out, i); });
}

}  // namespace birkhoff::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace birkhoff::cpu {
namespace {

using Cut = CrossEntropyCut;

HWY_EXPORT(AddLogits);
HWY_EXPORT(ScaledSoftmax);
HWY_EXPORT(ScaledSoftmaxRounded);
HWY_EXPORT(RoundSums);

void require_targets(const int32_t* target, int64_t tokens, int64_t vocabulary) {
  for (int64_t t = 0; t < tokens; ++t)
    if (target[t] < -1 || target[t] >= vocabulary)
      throw DataError(
          fmt::format("[linear_cross_entropy] target {} at position {} is outside the vocabulary "
                      "of {}; check that the data was prepared for this vocabulary",
                      target[t], t, vocabulary));
}

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

Range part(int64_t index, int64_t size, int64_t count) {
  return {index * size, std::min(count, index * size + size)};
}

void scaled_softmax(const float* logits, int64_t count, float lse, float scale, float* dl) {
  HWY_DYNAMIC_DISPATCH(ScaledSoftmax)(logits, count, lse, scale, dl);
}

// The functions applied to logits, chosen by the storage type of h.
struct Exponentials {
  const Routines* routines;

  void add(const float* logits, int64_t count, float& maximum, float& sum) const {
    routines->add_logits(logits, count, maximum, sum);
  }
  void softmax(const float* logits, int64_t count, float lse, float scale, float* dl) const {
    scaled_softmax(logits, count, lse, scale, dl);
  }
  void softmax(const float* logits, int64_t count, float lse, float scale, bf16* dl) const {
    routines->scaled_softmax(logits, count, lse, scale, dl);
  }
};

Exponentials exponentials_of(const Args& a, const Operand& h) {
  return {&routines(h.spec->dtype == DType::bf16 ? a.context->features : Features())};
}

struct Head {
  const Operand &h, &w;
  const int32_t* target;
  int64_t tokens, width, vocabulary;
  Exponentials exponentials;

  Product logits(Range rows, Range columns, float* to) const {
    return {.m = rows.size(),
            .n = columns.size(),
            .k = width,
            .a = {h, rows.begin * width, width},
            .b = {w, columns.begin * width, width, true, stored()},
            .c = {to, nullptr, columns.size()}};
  }
  bool stored() const { return h.spec->dtype == DType::bf16; }
};

template <class L>
Head head_of(const Args& a) {
  const Head head{a.inputs[L::h], a.inputs[L::w], a.in<int32_t>(L::target),          a.dim(L::h, 0),
                  a.dim(L::h, 1), a.dim(L::w, 0), exponentials_of(a, a.inputs[L::h])};
  require_targets(head.target, head.tokens, head.vocabulary);
  return head;
}

// Partial results of scoring, in the shared workspace. The values of a row are `tokens` apart.
struct Partials {
  float* target_logit;   // [T]
  float *maximum, *sum;  // [segments, T]
};

// Computes maximum and sum of some rows over one segment of the vocabulary.
void segment(const Head& head, const Routines& tiles, Range rows, Range columns,
             const Partials& out, float* workspace) {
  float* logits = workspace + kMatmulWorkspace / sizeof(float);
  for (int64_t v = columns.begin; v < columns.end; v += Cut::kColumns) {
    const Range some = {v, std::min(columns.end, v + Cut::kColumns)};
    tiles.matmul_tile(head.logits(rows, some, logits), {0, 0, rows.size(), some.size()}, workspace);
    for (int64_t t = rows.begin; t < rows.end; ++t) {
      const float* row = logits + (t - rows.begin) * some.size();
      if (v == columns.begin) {
        out.maximum[t] = std::numeric_limits<float>::lowest();
        out.sum[t] = 0;
      }
      head.exponentials.add(row, some.size(), out.maximum[t], out.sum[t]);
      if (head.target[t] >= some.begin && head.target[t] < some.end)
        out.target_logit[t] = row[head.target[t] - some.begin];
    }
  }
}

int64_t parts(int64_t count, int64_t size) { return (count + size - 1) / size; }

void set(float* out, const float* base, int64_t i, float value) {
  if (out) out[i] = base ? base[i] + value : value;
}

// Computes dl for some of a row's logits. `target` is relative to the first of them and may be
// outside.
template <class T>
void logit_gradients(const Exponentials& exponentials, std::span<const float> logits,
                     int64_t target, float lse, float scale, T* dl) {
  const auto count = int64_t(logits.size());
  exponentials.softmax(logits.data(), count, lse, scale, dl);
  if (target < 0 || target >= count) return;
  // The target's element is computed again in f32, so that scale is not subtracted from a rounded
  // value.
  float own = 0;
  exponentials.softmax(logits.data() + target, 1, lse, scale, &own);
  dl[target] = narrow<T>(own - scale);
}

// dl for some rows and one chunk of the vocabulary.
template <class T>
struct Chunk {
  Range rows, columns;
  T* dl;  // [rows, stride]
  int64_t stride;

  Matrix factor(bool transposed) const {
    Matrix m;
    m.data = dl, m.stride = stride, m.transposed = transposed;
    m.element = std::is_same_v<T, bf16> ? Element::bf16 : Element::f32;
    return m;
  }
};

struct Gradients {
  const Result &dh, &dw;
  float* dh_sums;  // f32 sums of dh for the current rows, used if dh is bf16.
};

// Where a chunk's contribution to dh is added: to dh itself or, if dh is bf16, to f32 sums that are
// rounded at the end.
Sum dh_of(const Head& head, const Gradients& to, Range rows, bool first) {
  if (head.stored()) return {to.dh_sums, first ? nullptr : to.dh_sums, head.width};
  Sum dh(to.dh, rows.begin * head.width, head.width);
  if (!first) dh.base = dh.c;
  return dh;
}

// Adds a chunk's contribution to dh of its rows and dw of its columns. Both are summed chunk by
// chunk; the first chunk of an element also adds the base (for a bf16 dh, round_dh adds it).
template <class T>
void add_gradients(const Head& head, const Args& a, const Chunk<T>& chunk, const Gradients& to) {
  const Range &rows = chunk.rows, &columns = chunk.columns;
  const int64_t at_rows = rows.begin * head.width, at_columns = columns.begin * head.width;
  Product products[2];
  int64_t count = 0, first_task[3];
  if (to.dh.data)
    products[count++] = {.m = rows.size(),
                         .n = head.width,
                         .k = columns.size(),
                         .a = chunk.factor(false),
                         .b = {head.w, at_columns, head.width, false, head.stored()},
                         .c = dh_of(head, to, rows, columns.begin == 0)};
  if (to.dw.data) {
    Sum dw(to.dw, at_columns, head.width);
    if (rows.begin > 0) dw.base = dw.c;
    products[count++] = {.m = columns.size(),
                         .n = head.width,
                         .k = rows.size(),
                         .a = chunk.factor(true),
                         .b = {head.h, at_rows, head.width},
                         .c = dw};
  }
  matmuls(a, count, first_task, [&](int64_t i) { return products[i]; });
}

// Rounds the dh of some rows and adds its base, once the whole vocabulary is summed. Does nothing
// unless dh is bf16.
void round_dh(const Head& head, const Args& a, Range rows, const Gradients& to) {
  if (!head.stored() || !to.dh.data) return;
  const auto* base = static_cast<const bf16*>(to.dh.base);
  auto* dh = static_cast<bf16*>(to.dh.data);
  constexpr int64_t kRounded = 64;  // Rows per task.
  a.team().ranges(rows.size(), kRounded, [&](int64_t begin, int64_t end, int) {
    const int64_t at = (rows.begin + begin) * head.width;
    HWY_DYNAMIC_DISPATCH(RoundSums)
    (to.dh_sums + begin * head.width, (end - begin) * head.width, base ? base + at : nullptr,
     dh + at);
  });
}

void nll(const Args& a) {
  using L = LinearCrossEntropy;
  const Head head = head_of<L>(a);
  const int64_t segments = parts(head.vocabulary, Cut::kSegment);
  int64_t rows = Cut::kRows;
  while (rows > 64 && parts(head.tokens, rows) * segments < 8) rows /= 2;
  float* target_logit = a.shared_workspace<float>();
  const auto partials = [&](int64_t s) {
    float* maximum = target_logit + (1 + 2 * s) * head.tokens;
    return Partials{target_logit, maximum, maximum + head.tokens};
  };
  a.team().run(parts(head.tokens, rows) * segments, [&](int64_t task, int worker) {
    const int64_t s = task % segments;
    segment(head, routines(a.context->features), part(task / segments, rows, head.tokens),
            part(s, Cut::kSegment, head.vocabulary), partials(s),
            a.thread_workspace<float>(worker));
  });
  for (int64_t t = 0; t < head.tokens; ++t) {
    float maximum = partials(0).maximum[t], sum = partials(0).sum[t];
    for (int64_t s = 1; s < segments; ++s) {
      const float other = partials(s).maximum[t], most = std::max(maximum, other);
      sum = sum * std::exp(maximum - most) + partials(s).sum[t] * std::exp(other - most);
      maximum = most;
    }
    const float log_sum = std::log(sum);
    // The logit is subtracted from the maximum first: that is exact if they are close, as they
    // become in training.
    const float nll = head.target[t] < 0 ? 0 : (maximum - target_logit[t]) + log_sum;
    set(a.out<float>(L::nll), a.base<float>(L::nll), t, nll);
  }
}

// All logits of some rows, and each row's log Σ exp.
struct LossRows {
  Range rows;
  float* logits;  // [rows, stride]
  int64_t stride;
  float* lse;
};

void make_logits(const Head& head, const Args& a, const LossRows& l) {
  Product p = head.logits(l.rows, {0, head.vocabulary}, l.logits);
  p.c.stride = l.stride;
  matmul(a, p);
}

void make_losses(const Head& head, const Args& a, const LossRows& l) {
  using L = LinearCrossEntropyLoss;
  float* nll = a.out<float>(L::nll);
  a.team().ranges(l.rows.size(), 1, [&](int64_t row, int64_t, int) {
    const int64_t t = l.rows.begin + row, target = head.target[t];
    const float* logits = l.logits + row * l.stride;
    float maximum = std::numeric_limits<float>::lowest(), sum = 0;
    for (int64_t v = 0; v < head.vocabulary; v += Cut::kColumns)
      head.exponentials.add(logits + v, std::min(Cut::kColumns, head.vocabulary - v), maximum, sum);
    l.lse[row] = maximum + std::log(sum);
    set(nll, a.base<float>(L::nll), t, target < 0 ? 0 : (maximum - logits[target]) + std::log(sum));
  });
}

template <class T>
void make_gradients(const Head& head, const Args& a, const LossRows& l, const Chunk<T>& chunk) {
  const float scale = *a.in<float>(LinearCrossEntropyLoss::scale);
  a.team().ranges(l.rows.size(), 1, [&](int64_t row, int64_t, int) {
    const int64_t target = head.target[l.rows.begin + row];
    T* dl = chunk.dl + row * chunk.stride;
    if (target < 0 || scale == 0)
      std::fill_n(dl, chunk.columns.size(), T{});
    else
      logit_gradients(
          head.exponentials,
          std::span(l.logits + row * l.stride + chunk.columns.begin, size_t(chunk.columns.size())),
          target - chunk.columns.begin, l.lse[row], scale, dl);
  });
}

template <class T>
void loss(const Args& a, const Head& head) {
  using L = LinearCrossEntropyLoss;
  const int64_t most = Cut::loss_rows(head.tokens, head.vocabulary);
  const int64_t stride = std::min(Cut::kChunk, head.vocabulary) + Cut::kPad;
  LossRows l{{}, a.shared_workspace<float>(), head.vocabulary + Cut::kPad, nullptr};
  l.lse = l.logits + most * l.stride;
  const Gradients to{a.outputs[L::dh], a.outputs[L::dw], l.lse + most};
  T* dl = reinterpret_cast<T*>(to.dh_sums + (head.stored() ? most * head.width : 0));
  for (int64_t t = 0; t < head.tokens; t += most) {
    l.rows = {t, std::min(head.tokens, t + most)};
    make_logits(head, a, l);
    make_losses(head, a, l);
    for (int64_t v = 0; v < head.vocabulary; v += Cut::kChunk) {
      const Chunk<T> chunk{l.rows, {v, std::min(head.vocabulary, v + Cut::kChunk)}, dl, stride};
      make_gradients(head, a, l, chunk);
      add_gradients(head, a, chunk, to);
    }
    round_dh(head, a, l.rows, to);
  }
}

void loss_of_any_storage(const Args& a) {
  using L = LinearCrossEntropyLoss;
  const Head head = head_of<L>(a);
  with_storage(a.inputs[L::h].spec->dtype, [&](auto t) { loss<decltype(t)>(a, head); });
}

Workspace nll_workspace(Specs in, const Desc&) {
  using L = LinearCrossEntropy;
  const int64_t tokens = in[L::h].shape[0], vocabulary = in[L::w].shape[0];
  const int64_t segments = (vocabulary + Cut::kSegment - 1) / Cut::kSegment;
  return {.shared = size_t(tokens * (2 * segments + 1)) * sizeof(float),
          .per_thread = kMatmulWorkspace + size_t(Cut::kRows * Cut::kColumns) * sizeof(float)};
}

Workspace loss_workspace(Specs in, const Desc&) {
  using L = LinearCrossEntropyLoss;
  const TensorSpec& h = in[L::h];
  const int64_t vocabulary = in[L::w].shape[0], columns = std::min(Cut::kChunk, vocabulary);
  const int64_t rows = Cut::loss_rows(h.shape[0], vocabulary);
  const int64_t sums = h.dtype == DType::bf16 ? rows * h.shape[1] : 0;  // of dh
  const int64_t floats = rows * (vocabulary + Cut::kPad + 1) + sums;    // logits, their log-sums
  return {.shared = size_t(floats) * sizeof(float) +
                    size_t(rows * (columns + Cut::kPad)) * size_of(h.dtype),
          .per_thread = kMatmulWorkspace};
}

}  // namespace

void every_machine::add_logits(const float* logits, int64_t count, float& maximum, float& sum) {
  HWY_DYNAMIC_DISPATCH(AddLogits)(logits, count, maximum, sum);
}
void every_machine::scaled_softmax(const float* logits, int64_t count, float lse, float scale,
                                   bf16* dl) {
  HWY_DYNAMIC_DISPATCH(ScaledSoftmaxRounded)(logits, count, lse, scale, dl);
}

constinit const Implementation linear_cross_entropy[] = {
    {.name = "cpu", .workspace = nll_workspace, .run = nll}};

constinit const Implementation linear_cross_entropy_loss[] = {
    {.name = "cpu", .workspace = loss_workspace, .run = loss_of_any_storage}};

}  // namespace birkhoff::cpu
#endif
