#include "tests/cuda/emulator/heap.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/error.h"
#include "tests/cuda/emulator/asan.h"
#include "tests/cuda/emulator/observer.h"

namespace birkhoff::emulator {
namespace {

constexpr size_t kPage = 4096, kAlignment = 256;
constexpr std::byte kPattern{0xA5}, kNaN{0xFF};

size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

Heap& heap() {
  static Heap the_heap;
  return the_heap;
}

Heap::Heap() {
  void* room = mmap(nullptr, kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) throw ResourceError("no addresses for the emulated device's memory");
  base_ = top_ = static_cast<std::byte*>(room);
}

Allocation* Heap::allocate(size_t bytes) {
  const size_t page_bytes = rounded(std::max(bytes, size_t{1}), kPage);
  if (page_bytes + kPage > size_t(base_ + kRoom - top_)) return nullptr;
  Allocation a{.bytes = bytes, .pages = top_, .page_bytes = page_bytes};
  a.data = a.pages + page_bytes - rounded(std::max(bytes, size_t{1}), kAlignment);
  top_ += page_bytes + kPage;  // the guard page stays inaccessible
  if (mprotect(a.pages, page_bytes, PROT_READ | PROT_WRITE) != 0) return nullptr;
  std::fill(a.pages, a.pages + page_bytes, kPattern);
  std::fill_n(a.data, bytes, kNaN);
  poison(a.pages, page_bytes);
  unpoison(a.data, bytes);
  protect(a, opened_ > 0);
  if (observer()) observer()->allocated(a.data, bytes);
  in_use_ += bytes;
  return &allocations_.emplace(a.pages, a).first->second;
}

// Returns the pages to the system, but never reuses the addresses.
void Heap::free(Allocation& a) {
  a.freed = true;
  in_use_ -= a.bytes;
  if (observer()) observer()->freed(a.data);
  unpoison(a.pages, a.page_bytes);
  mmap(a.pages, a.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
       -1, 0);
}

void Heap::reset() {
  for (auto& [pages, a] : allocations_)
    if (!a.freed) free(a);
  allocations_.clear();
}

Allocation* Heap::find(const void* p) {
  auto after = allocations_.upper_bound(static_cast<const std::byte*>(p));
  if (after == allocations_.begin()) return nullptr;
  Allocation& a = std::prev(after)->second;
  return p < a.pages + a.page_bytes + kPage ? &a : nullptr;
}

std::string Heap::wrong_range(const void* p, size_t bytes) {
  const Allocation* a = has(p) ? find(p) : nullptr;
  if (!a) return fmt::format("{} is not device memory", p);
  const auto* begin = static_cast<const std::byte*>(p);
  if (a->freed)
    return fmt::format("byte {} of an allocation of {} that has been freed", begin - a->data,
                       a->bytes);
  if (begin < a->data || bytes > a->bytes || size_t(begin - a->data) > a->bytes - bytes)
    return fmt::format("{} bytes at byte {} of an allocation of {}", bytes, begin - a->data,
                       a->bytes);
  return "";
}

std::string Heap::overwritten() {
  for (const auto& [pages, a] : allocations_) {
    if (a.freed) continue;
    unpoison(a.pages, a.page_bytes);
    const std::byte* end = a.data + a.bytes;
    const auto touched = [](std::byte b) { return b != kPattern; };
    const bool before = std::any_of(a.pages, a.data, touched);
    const bool behind =
        std::any_of(end, static_cast<const std::byte*>(pages + a.page_bytes), touched);
    poison(a.pages, size_t(a.data - a.pages));
    poison(end, size_t(pages + a.page_bytes - end));
    if (before || behind)
      return fmt::format("{} an allocation of {} bytes was written over",
                         before ? "what is before" : "what is behind", a.bytes);
  }
  return "";
}

void Heap::protect(const Allocation& a, bool open) const {
  if (!a.freed) mprotect(a.pages, a.page_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

Heap::Open::Open() {
  if (heap().opened_++ == 0)
    for (const auto& [pages, a] : heap().allocations_) heap().protect(a, true);
}

Heap::Open::~Open() {
  if (--heap().opened_ == 0)
    for (const auto& [pages, a] : heap().allocations_) heap().protect(a, false);
}

}  // namespace birkhoff::emulator
