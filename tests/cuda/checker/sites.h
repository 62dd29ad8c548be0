#pragma once
// Numbers the instructions that have accessed memory.
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/cuda/emulator/observer.h"

namespace birkhoff::emulator {

class Sites {
 public:
  uint32_t index(const Site& site);
  // For example "gemm.cu:57"; runs addr2line if only an address is known.
  std::string text(uint32_t index) const;

 private:
  using Key = std::tuple<const void*, const char*, uint32_t, uint32_t>;
  std::map<Key, uint32_t> known_;
  std::vector<Site> sites_;
};

}  // namespace birkhoff::emulator
