#include "kernels/linear.h"

#include "kernels/cpu/matmul.h"

namespace birkhoff::cpu {

void linear(const Args& a) {
  const int64_t t = a.dim(Linear::x, 0), k = a.dim(Linear::x, 1), n = a.dim(Linear::w, 0);
  matmul(a, {.m = t,
             .n = n,
             .k = k,
             .a = {a.in<float>(Linear::x), k},
             .b = {a.in<float>(Linear::w), k, true},
             .base = a.base<float>(Linear::y),
             .c = a.out<float>(Linear::y),
             .c_stride = n});
}

void linear_dx(const Args& a) {
  const int64_t t = a.dim(LinearDx::dy, 0), n = a.dim(LinearDx::dy, 1);
  const int64_t k = a.dim(LinearDx::w, 1);
  matmul(a, {.m = t,
             .n = k,
             .k = n,
             .a = {a.in<float>(LinearDx::dy), n},
             .b = {a.in<float>(LinearDx::w), k},
             .base = a.base<float>(LinearDx::dx),
             .c = a.out<float>(LinearDx::dx),
             .c_stride = k});
}

void linear_dw(const Args& a) {
  const int64_t t = a.dim(LinearDw::dy, 0), n = a.dim(LinearDw::dy, 1);
  const int64_t k = a.dim(LinearDw::x, 1);
  matmul(a, {.m = n,
             .n = k,
             .k = t,
             .a = {a.in<float>(LinearDw::dy), n, true},
             .b = {a.in<float>(LinearDw::x), k},
             .base = a.base<float>(LinearDw::dw),
             .c = a.out<float>(LinearDw::dw),
             .c_stride = k});
}

}  // namespace birkhoff::cpu
