#pragma once
// Device memory: a range of addresses that can be accessed only while a kernel or a copy runs. Each
// allocation ends at an inaccessible guard page, starts at a multiple of 256, is filled with ones
// (NaN), and is never reused.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace birkhoff::emulator {

struct Allocation {
  std::byte* data = nullptr;
  size_t bytes = 0;
  std::byte* pages = nullptr;  // all pages before the guard page
  size_t page_bytes = 0;
  bool freed = false;
  // The stream operations that allocate and free it; 0: none.
  uint32_t born = 0, dies = 0;
  std::vector<uint32_t> users = {};  // operations that have accessed it
};

class Heap {
 public:
  Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  Allocation* allocate(size_t bytes);  // null: no room
  void free(Allocation& allocation);
  void reset();
  size_t in_use() const { return in_use_; }  // bytes allocated and not freed

  bool has(const void* p) const { return p >= base_ && p < base_ + kRoom; }
  // The allocation, freed or not, that contains p or whose guard page does; null if there is none.
  Allocation* find(const void* p);
  // Empty if [p, p + bytes) is inside an allocation that is not freed; else what is wrong.
  std::string wrong_range(const void* p, size_t bytes);
  // Empty if the padding before and after each allocation is unchanged; else which one was written.
  std::string overwritten();

  // Makes device memory accessible during its lifetime.
  class Open {
   public:
    Open();
    ~Open();
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
  };

 private:
  static constexpr size_t kRoom = size_t{1} << 38;
  void protect(const Allocation& allocation, bool open) const;
  std::byte* base_ = nullptr;
  std::byte* top_ = nullptr;
  int opened_ = 0;
  size_t in_use_ = 0;
  std::map<const std::byte*, Allocation> allocations_;  // by pages
};

Heap& heap();

}  // namespace birkhoff::emulator
