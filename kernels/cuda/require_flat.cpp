#include "kernels/cuda/require_flat.h"

#include <cstdint>

#include "base/error.h"

namespace birkhoff::cuda {

void require_flat(const char* name, std::initializer_list<const void*> pointers) {
  for (const void* p : pointers)
    check(reinterpret_cast<uintptr_t>(p) % 16 == 0, "{}: an array at {}; align it to 16 bytes",
          name, p);
}

}  // namespace birkhoff::cuda
