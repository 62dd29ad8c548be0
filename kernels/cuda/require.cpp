#include "kernels/cuda/require.h"

#include "base/error.h"

namespace birkhoff::cuda {

void require_aligned(const char* name, std::initializer_list<const void*> pointers) {
  for (const void* p : pointers)
    check(reinterpret_cast<uintptr_t>(p) % 16 == 0, "{}: an array at {}; align it to 16 bytes",
          name, p);
}

void require_streams(const char* name, int n, int64_t width) {
  check(n == 1 || n == 2 || n == 4 || n == 8, "{}: {} streams; there are kernels for 1, 2, 4 and 8",
        name, n);
  check(width > 0 && width % 8 == 0, "{}: a width of {}; it must be a multiple of 8", name, width);
}

}  // namespace birkhoff::cuda
