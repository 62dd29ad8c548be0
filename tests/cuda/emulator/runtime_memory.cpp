// Symbols of CUDA's runtime (runtime.h): device and host memory, copies, fills.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "base/format.h"
#include "tests/cuda/emulator/board.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/host_copies.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/runtime.h"
#include "tests/cuda/emulator/streams.h"
#include "tests/cuda/emulator/transfer.h"

// The numbers are part of the interface, as in runtime.cpp.
static_assert(cudaMemcpyHostToHost == 0 && cudaMemcpyHostToDevice == 1 &&
              cudaMemcpyDeviceToHost == 2 && cudaMemcpyDeviceToDevice == 3 &&
              cudaMemcpyDefault == 4);
static_assert(cudaHostAllocDefault == 0 && cudaHostAllocPortable == 1);

namespace birkhoff::emulator {
namespace {

std::map<void*, size_t> pinned;  // size in bytes of pinned host memory, by start address

std::byte* bytes_at(void* p) { return static_cast<std::byte*>(p); }
const std::byte* bytes_at(const void* p) { return static_cast<const std::byte*>(p); }

cudaError_t allocate_host(void** p, size_t bytes, unsigned flags) {
  if (!p || (flags & ~unsigned(cudaHostAllocPortable))) return cudaErrorInvalidValue;
  *p = std::malloc(bytes);
  if (!*p) return cudaErrorMemoryAllocation;
  std::memset(*p, 0xFF, bytes);
  pinned.emplace(*p, bytes);
  return cudaSuccess;
}

// Checks for pending copies before waiting for anything, so that every schedule finds the error.
cudaError_t free_host(void* p) {
  const auto found = pinned.find(p);
  if (found == pinned.end()) {
    set_fault(fmt::format("{} is freed, but is no pinned memory, or not any more", p));
    return cudaErrorInvalidValue;
  }
  if (host_copies().uses(static_cast<std::byte*>(p), found->second))
    set_fault(
        fmt::format("pinned memory of {} bytes is freed before its copy had ended", found->second));
  streams().wait_all();
  pinned.erase(found);
  std::free(p);
  return cudaSuccess;
}

// The allocation that starts at p; null, and a fault, if there is none that can be freed.
Allocation* to_free(void* p) {
  Allocation* a = heap().has(p) ? heap().find(p) : nullptr;
  if (a && a->data == p && !a->freed && !a->dies) return a;
  set_fault(fmt::format("{} is freed, but is no allocation{}", p,
                        a && a->data == p ? " any more: it has been freed before" : ""));
  return nullptr;
}

cudaError_t allocate(void** p, size_t bytes, Allocation** made) {
  if (!p) return cudaErrorInvalidValue;
  if (bytes > board().memory - heap().in_use()) return cudaErrorMemoryAllocation;
  *made = heap().allocate(bytes);
  if (!*made) return cudaErrorMemoryAllocation;
  *p = (*made)->data;
  return cudaSuccess;
}

// Whether `kind` matches the addresses; cudaMemcpyDefault matches all.
bool fits(cudaMemcpyKind kind, bool to_device, bool from_device) {
  const int is = (from_device ? 2 : 0) + (to_device ? 1 : 0);
  return kind == cudaMemcpyDefault || int(kind) == is;
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, int stream) {
  if (stream < 0) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  const bool to_device = heap().has(to), from_device = heap().has(from);
  if (!fits(kind, to_device, from_device)) {
    set_fault(fmt::format("a copy of {} bytes of kind {}, from the {} to the {}", bytes, int(kind),
                          from_device ? "device" : "host", to_device ? "device" : "host"));
    return cudaErrorInvalidValue;
  }
  if (to_device && from_device) {
    streams().enqueue(stream, [=](uint32_t operation) {
      copy_on_device(operation, bytes_at(to), bytes_at(from), bytes);
    });
  } else if (to_device) {
    host_copies().to_device(bytes_at(to), bytes_at(from), bytes, stream);
  } else if (from_device) {
    host_copies().to_host(bytes_at(to), bytes_at(from), bytes, stream);
  } else {
    streams().enqueue(stream, [=](uint32_t) { std::memmove(to, from, bytes); });
  }
  return cudaSuccess;
}

}  // namespace

void reset_memory() {
  host_copies().reset();
  heap().reset();
  for (const auto& [p, bytes] : pinned) std::free(p);
  pinned.clear();
}

}  // namespace birkhoff::emulator

using namespace birkhoff::emulator;

extern "C" {

cudaError_t cudaMalloc(void** p, size_t bytes) {
  Allocation* made = nullptr;
  const cudaError_t status = result(allocate(p, bytes, &made));
  if (status != cudaSuccess && made) heap().free(*made);  // the caller will not
  return status;
}
cudaError_t cudaFree(void* p) {
  if (!p) return result(cudaSuccess);
  streams().wait_all();  // as in CUDA
  Allocation* a = to_free(p);
  if (a) heap().free(*a);
  return result(a ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream) {
  const int index = index_of(stream);
  if (index < 0) return result(cudaErrorInvalidResourceHandle);
  Allocation* made = nullptr;
  const cudaError_t status = allocate(p, bytes, &made);
  if (made) made->born = streams().id(streams().enqueue(index, [](uint32_t) {}));
  return result(status);
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  const int index = index_of(stream);
  if (index < 0) return result(cudaErrorInvalidResourceHandle);
  Allocation* a = to_free(p);
  if (!a) return result(cudaErrorInvalidValue);
  const Moment freed = streams().enqueue(index, [a](uint32_t operation) {
    const std::string wrong = streams().release(*a, operation);
    if (!wrong.empty()) set_fault("[cudaFreeAsync] " + wrong);
    heap().free(*a);
  });
  a->dies = streams().id(freed);
  return result(cudaSuccess);
}
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  return result(allocate_host(p, bytes, cudaHostAllocDefault));
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned flags) {
  return result(allocate_host(p, bytes, flags));
}
cudaError_t cudaFreeHost(void* p) { return result(p ? free_host(p) : cudaSuccess); }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = board().memory, *free = *total - heap().in_use();
  return result(cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return result(copy(to, from, bytes, kind, index_of(stream)));
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t status = copy(to, from, bytes, kind, 0);
  streams().wait(streams().last(0));
  return result(status);
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  const int index = index_of(stream);
  if (index < 0) return result(cudaErrorInvalidResourceHandle);
  streams().enqueue(
      index, [=](uint32_t operation) { fill_on_device(operation, bytes_at(p), value, bytes); });
  return result(cudaSuccess);
}
cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  return cudaMemsetAsync(p, value, bytes, nullptr);
}

}  // extern "C"
