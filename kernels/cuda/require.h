#pragma once
// Argument checks shared by launchers. They are host code, since nvcc cannot compile fmt.
#include <cstdint>
#include <initializer_list>

namespace birkhoff::cuda {

// Throws InternalError unless each pointer is null or aligned to 16 bytes.
void require_aligned(const char* name, std::initializer_list<const void*> pointers);

// Throws InternalError unless each pointer is non-null and aligned to 16 bytes.
void require_given(const char* name, std::initializer_list<const void*> pointers);

// Throws InternalError if only some of the pointers are null. what: their names.
void require_all_or_none(const char* name, const char* what,
                         std::initializer_list<const void*> pointers);

// Throws InternalError unless n is 1, 2, 4 or 8, and width a multiple of 8: 16 bytes of bf16.
void require_streams(const char* name, int n, int64_t width);

}  // namespace birkhoff::cuda
