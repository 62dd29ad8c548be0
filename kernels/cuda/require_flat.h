#pragma once
// What kernels on flat arrays refuse: the host's half, since nvcc cannot compile fmt.
#include <initializer_list>

namespace birkhoff::cuda {

// Throws InternalError unless each pointer is aligned to 16 bytes.
void require_flat(const char* name, std::initializer_list<const void*> pointers);

}  // namespace birkhoff::cuda
