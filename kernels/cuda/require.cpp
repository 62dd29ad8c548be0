#include "kernels/cuda/require.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff::cuda {

void require_aligned(const char* name, std::initializer_list<const void*> pointers) {
  for (const void* p : pointers)
    check(reinterpret_cast<uintptr_t>(p) % 16 == 0,
          "{}: the array at {} is not aligned to 16 bytes", name, p);
}

void require_given(const char* name, std::initializer_list<const void*> pointers) {
  for (const void* p : pointers) check(p, "{}: an array is missing", name);
  require_aligned(name, pointers);
}

void require_all_or_none(const char* name, const char* what,
                         std::initializer_list<const void*> pointers) {
  const auto given = std::count_if(pointers.begin(), pointers.end(), [](auto* p) { return p; });
  check(given == 0 || given == ptrdiff_t(pointers.size()),
        "{}: {} of {} are given; give all of them or none", name, given, what);
}

void require_streams(const char* name, int n, int64_t width) {
  check(n == 1 || n == 2 || n == 4 || n == 8,
        "{}: {} streams are not supported; there are kernels for 1, 2, 4 and 8", name, n);
  check(width > 0 && width % 8 == 0, "{}: a width of {} is not a multiple of 8", name, width);
}

}  // namespace birkhoff::cuda
