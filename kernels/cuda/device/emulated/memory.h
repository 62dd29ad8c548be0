#pragma once
// For g++: loads, stores, asynchronous copies (contract: ../device.h).
#include <type_traits>

#include "kernels/cuda/device/emulated/machine.h"

namespace birkhoff::cuda {

template <Cache kCache = Cache::normal, class T>
T load(const T* p, emulated::Where where = emulated::Where::current()) {
  static_assert(sizeof(T) <= 16 && std::is_trivially_copyable_v<T>);
  T value;
  emulated::load(&value, p, sizeof value, where);
  return value;
}

template <Cache kCache = Cache::normal, class T>
void store(T* p, std::type_identity_t<T> value,
           emulated::Where where = emulated::Where::current()) {
  static_assert(kCache != Cache::constant);
  static_assert(sizeof(T) <= 16 && std::is_trivially_copyable_v<T>);
  emulated::store(p, &value, sizeof value, where);
}

inline void copy_async(void* to, const void* from, int bytes = 16,
                       emulated::Where where = emulated::Where::current()) {
  emulated::copy_async(to, from, bytes, where);
}
inline void copy_async_commit() { emulated::copy_async_commit(); }
template <int kGroups>
void copy_async_wait() {
  emulated::copy_async_wait(kGroups);
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row,
                        emulated::Where where = emulated::Where::current()) {
  emulated::ldmatrix_x4(r, row, false, where);
}
inline void ldmatrix_x4_transposed(uint32_t (&r)[4], const void* row,
                                   emulated::Where where = emulated::Where::current()) {
  emulated::ldmatrix_x4(r, row, true, where);
}

}  // namespace birkhoff::cuda
