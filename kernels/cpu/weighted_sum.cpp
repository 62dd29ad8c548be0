#include "kernels/weighted_sum.h"

#include "base/exact_sum.h"
#include "kernels/cpu/result_of.h"

namespace birkhoff::cpu {
namespace {

double scalar(const Args& a, int i) {
  return a.inputs[size_t(i)].spec->dtype == DType::f32 ? double(*a.in<float>(i)) : *a.in<double>(i);
}

template <class Sum, class T>
double total(const T* value, int64_t count) {
  Sum sum;
  for (int64_t i = 0; i < count; ++i) sum.add(value[i]);
  return sum.value();
}

template <class T>
void fill(const Args& a, double value) {
  const ResultOf<T> dvalue(a, BroadcastScale::dvalue);
  for (int64_t i = 0; i < a.count(BroadcastScale::value); ++i) dvalue.set(i, T(value));
}

}  // namespace

// With only one number per token, one thread is enough.
void weighted_sum(const Args& a) {
  using W = WeightedSum;
  const int64_t count = a.count(W::value);
  const bool narrow = a.inputs[W::value].spec->dtype == DType::f32;
  const double sum = narrow ? total<FloatSum>(a.in<float>(W::value), count)
                            : total<DoubleSum>(a.in<double>(W::value), count);
  ResultOf<double>(a, W::y).set(0, scalar(a, W::scale) * sum);
}

void broadcast_scale(const Args& a) {
  using B = BroadcastScale;
  const double value = *a.in<double>(B::dy) * scalar(a, B::scale);
  if (a.inputs[B::value].spec->dtype == DType::f32)
    fill<float>(a, value);
  else
    fill<double>(a, value);
}

}  // namespace birkhoff::cpu
