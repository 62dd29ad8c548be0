#include "kernels/dispatch.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {
namespace {

int64_t used_rows(const Args& a, int offsets) {
  return a.in<int32_t>(offsets)[a.dim(offsets, 0) - 1];
}

}  // namespace

void dispatch(const Args& a) {
  using D = Dispatch;
  const Input x(a, D::x), source(a, D::source);
  const Output buffer(a, D::buffer);
  const int64_t width = a.dim(D::x, 1), k = a.dim(D::row, 1);
  for (int64_t i = 0; i < used_rows(a, D::offsets); ++i)
    for (int64_t c = 0; c < width; ++c)
      buffer.set(i * width + c, x[int64_t(source[i]) / k * width + c]);
}

void dispatch_backward(const Args& a) {
  using B = DispatchBackward;
  const Input dbuffer(a, B::dbuffer), row(a, B::row);
  const Output dx(a, B::dx);
  const int64_t width = a.dim(B::dbuffer, 1), tokens = a.dim(B::row, 0), k = a.dim(B::row, 1);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t j = 0; j < k; ++j)
        if (row[t * k + j] >= 0) sum += dbuffer[int64_t(row[t * k + j]) * width + c];
      dx.set(t * width + c, sum);
    }
}

void combine(const Args& a) {
  const Input buffer(a, Combine::buffer), weight(a, Combine::weight), row(a, Combine::row);
  const Output y(a, Combine::y);
  const int64_t width = a.dim(Combine::buffer, 1);
  const int64_t tokens = a.dim(Combine::row, 0), k = a.dim(Combine::row, 1);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int64_t j = t * k; j < (t + 1) * k; ++j)
        if (row[j] >= 0) sum += weight[j] * buffer[int64_t(row[j]) * width + c];
      y.set(t * width + c, sum);
    }
}

void combine_backward(const Args& a) {
  using B = CombineBackward;
  const Input dy(a, B::dy), buffer(a, B::buffer), weight(a, B::weight), row(a, B::row),
      source(a, B::source);
  const Output dbuffer(a, B::dbuffer), dweight(a, B::dweight);
  const int64_t width = a.dim(B::buffer, 1), tokens = a.dim(B::row, 0), k = a.dim(B::row, 1);
  for (int64_t i = 0; i < used_rows(a, B::offsets); ++i)
    for (int64_t c = 0; c < width; ++c)
      dbuffer.set(i * width + c,
                  weight[int64_t(source[i])] * dy[int64_t(source[i]) / k * width + c]);
  for (int64_t j = 0; j < tokens * k; ++j) {
    double sum = 0;
    for (int64_t c = 0; row[j] >= 0 && c < width; ++c)
      sum += dy[j / k * width + c] * buffer[int64_t(row[j]) * width + c];
    dweight.set(j, sum);
  }
}

}  // namespace birkhoff::reference
