#pragma once
// What a copy or a fill in a stream does when its turn comes. A range that is no live device memory
// is a fault.
#include <cstddef>
#include <cstdint>

namespace birkhoff::emulator {

// What every access of an operation says: false, and a fault, if the range is no live memory or is
// used without an event. REQUIRES Heap::Open.
bool touch(const char* what, uint32_t operation, const std::byte* p, size_t bytes, bool write);

void copy_to_device(uint32_t operation, std::byte* device, const std::byte* host, size_t bytes);
void copy_from_device(uint32_t operation, std::byte* host, const std::byte* device, size_t bytes);
void copy_on_device(uint32_t operation, std::byte* to, const std::byte* from, size_t bytes);
void fill_on_device(uint32_t operation, std::byte* to, int value, size_t bytes);

}  // namespace birkhoff::emulator
