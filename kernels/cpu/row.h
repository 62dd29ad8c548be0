#pragma once
#include <cstdint>

namespace birkhoff::cpu {

// An absent operand (null) has no rows.
template <class T>
T* row(T* p, int64_t at) {
  return p ? p + at : nullptr;
}

}  // namespace birkhoff::cpu
