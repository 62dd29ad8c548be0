#pragma once
#include <cstdint>

namespace birkhoff::cpu {

// p + at, or null if p is null because the operand is absent.
template <class T>
T* row(T* p, int64_t at) {
  return p ? p + at : nullptr;
}

}  // namespace birkhoff::cpu
