#include "tests/cuda/emulator/shared_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "tests/cuda/emulator/asan.h"

namespace birkhoff::emulator {
namespace {

constexpr size_t kGap = 64, kAlignment = 1024;
constexpr size_t kBytes = cuda::kMaxCluster * SharedMemory::kWindow;
constexpr std::byte kPattern{0xA5}, kNaN{0xFF};

}  // namespace

SharedMemory& shared_memory() {
  static SharedMemory memory;
  return memory;
}

SharedMemory::SharedMemory()
    : memory_(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kBytes))) {
  if (!memory_) throw ResourceError("no memory for the emulated device's shared memory");
  std::memset(memory_, int(kPattern), kBytes);
  poison(memory_, kBytes);
}

void SharedMemory::begin_cluster(unsigned blocks, size_t dynamic_bytes) {
  pieces_.clear(), sites_.clear();
  static_bytes_ = top_ = 0;
  blocks_ = blocks;
  add(0, dynamic_bytes);
}

void SharedMemory::add(size_t begin, size_t bytes) {
  pieces_.push_back({begin, begin + bytes});
  top_ = begin + bytes + kGap;
  for (unsigned rank = 0; rank < blocks_; ++rank) {
    unpoison(window(rank) + begin, bytes);
    std::fill_n(window(rank) + begin, bytes, kNaN);
  }
}

std::byte* SharedMemory::place(const cuda::emulated::SharedSite& site, unsigned rank) {
  const auto [known, is_new] = sites_.try_emplace(&site, pieces_.size());
  if (is_new) {
    const size_t alignment = std::max(site.alignment, size_t{16});
    const size_t begin = (top_ + alignment - 1) / alignment * alignment;
    if (begin + site.bytes + kGap > kWindow) return nullptr;
    static_bytes_ += site.bytes;
    add(begin, site.bytes);
  }
  return window(rank) + pieces_[known->second].begin;
}

std::string SharedMemory::end_cluster() {
  std::string wrong;
  unpoison(memory_, blocks_ * kWindow);
  for (unsigned rank = 0; rank < blocks_; ++rank) {
    std::byte* const memory = window(rank);
    size_t gap = 0;
    const auto look = [&](size_t end) {
      for (size_t i = gap; i < end && wrong.empty(); ++i)
        if (memory[i] != kPattern)
          wrong = fmt::format("byte {} of shared memory, {} behind what was declared, was written",
                              i, i - gap);
      std::fill(memory + gap, memory + end, kPattern);
    };
    for (const Piece& piece : pieces_) {
      look(piece.begin);
      std::fill(memory + piece.begin, memory + piece.end, kPattern);
      gap = piece.end;
    }
    look(std::min(gap + 4096, kWindow));
  }
  poison(memory_, blocks_ * kWindow);
  return wrong;
}

bool SharedMemory::allocated(const void* p, size_t bytes) const {
  const size_t begin = offset(p);
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
    return begin >= piece.begin && begin + bytes <= piece.end;
  });
}

}  // namespace birkhoff::emulator
