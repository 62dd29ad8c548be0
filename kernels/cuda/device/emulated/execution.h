#pragma once
// For g++: indices, shared memory, barriers, warp collectives, launches (contract: ../device.h).
#include <cstring>
#include <type_traits>

#include "kernels/cuda/device/emulated/machine.h"
#include "kernels/cuda/device/launched.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace birkhoff::cuda {

using emulated::block_dim;
using emulated::block_index;
using emulated::grid_dim;
using emulated::thread_index;

inline unsigned thread() {
  const Dim t = thread_index(), b = block_dim();
  return (t.z * b.y + t.y) * b.x + t.x;
}

template <class T>
T& shared() {
  static_assert(std::is_trivially_default_constructible_v<T>);
  static constexpr emulated::SharedSite kSite{sizeof(T), alignof(T)};
  return *static_cast<T*>(emulated::shared(kSite));
}

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulated::dynamic_shared());
}

inline void sync_block(emulated::Where where = emulated::Where::current()) {
  emulated::barrier(where);
}
inline void sync_warp(unsigned mask, emulated::Where where = emulated::Where::current()) {
  emulated::collective({"sync_warp", mask, [](void* const*, unsigned) {}, true}, nullptr, where);
}

namespace emulated {

// Each lane of a shuffle gets the value of lane `from`, or its own if `from` is outside the warp.
template <class T>
struct Shuffled {
  T value, result;
  unsigned from;
};
template <class T>
T shuffle_from(const char* name, unsigned mask, T value, unsigned from, Where where) {
  Shuffled<T> mine{value, value, from < kWarp ? from : lane()};
  const auto exchange = [](void* const* arguments, unsigned lanes) {
    for (unsigned i = 0; i < kWarp; ++i) {
      if (!(lanes >> i & 1)) continue;
      auto& to = *static_cast<Shuffled<T>*>(arguments[i]);
      // The value of a lane that does not participate is undefined: all ones, a NaN.
      if (lanes >> to.from & 1)
        to.result = static_cast<Shuffled<T>*>(arguments[to.from])->value;
      else
        std::memset(&to.result, 0xFF, sizeof to.result);
    }
  };
  collective({name, mask, exchange}, &mine, where);
  return mine.result;
}

unsigned vote(const char* name, unsigned mask, bool p, Where where);

}  // namespace emulated

template <class T>
T shuffle(unsigned mask, T value, unsigned lane,
          emulated::Where where = emulated::Where::current()) {
  return emulated::shuffle_from("shuffle", mask, value, lane % kWarp, where);
}
template <class T>
T shuffle_xor(unsigned mask, T value, unsigned lanes,
              emulated::Where where = emulated::Where::current()) {
  return emulated::shuffle_from("shuffle_xor", mask, value, emulated::lane() ^ lanes, where);
}
template <class T>
T shuffle_up(unsigned mask, T value, unsigned lanes,
             emulated::Where where = emulated::Where::current()) {
  return emulated::shuffle_from("shuffle_up", mask, value, emulated::lane() - lanes, where);
}
template <class T>
T shuffle_down(unsigned mask, T value, unsigned lanes,
               emulated::Where where = emulated::Where::current()) {
  return emulated::shuffle_from("shuffle_down", mask, value, emulated::lane() + lanes, where);
}

inline unsigned ballot(unsigned mask, bool p, emulated::Where where = emulated::Where::current()) {
  return emulated::vote("ballot", mask, p, where);
}
inline bool any(unsigned mask, bool p, emulated::Where where = emulated::Where::current()) {
  return emulated::vote("any", mask, p, where) != 0;
}
inline bool all(unsigned mask, bool p, emulated::Where where = emulated::Where::current()) {
  return emulated::vote("all", mask, p, where) == mask;
}

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), const Launch& how, A... arguments) {
  const auto address = reinterpret_cast<const void*>(kernel);
  allow_shared(name, address, how);
  require_launched(name, emulated::launch(name, address, how, [=] { kernel(P(arguments)...); }));
}

}  // namespace birkhoff::cuda
