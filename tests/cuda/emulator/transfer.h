#pragma once
// Executes the copies and fills of streams. A range that is not live device memory is a fault.
#include <cstddef>
#include <cstdint>

namespace birkhoff::emulator {

// Must be called for every access of an operation. Returns false and records a fault if the range
// is not live memory, or no event orders its use after its allocation and before its release.
// REQUIRES Heap::Open.
bool touch(const char* what, uint32_t operation, const std::byte* p, size_t bytes, bool write);

void copy_to_device(uint32_t operation, std::byte* device, const std::byte* host, size_t bytes);
void copy_from_device(uint32_t operation, std::byte* host, const std::byte* device, size_t bytes);
void copy_on_device(uint32_t operation, std::byte* to, const std::byte* from, size_t bytes);
void fill_on_device(uint32_t operation, std::byte* to, int value, size_t bytes);

}  // namespace birkhoff::emulator
