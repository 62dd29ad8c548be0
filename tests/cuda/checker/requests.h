#pragma once
// What the lanes of a warp ask of memory with one instruction, and what it costs: sectors of global
// memory, wavefronts of shared memory. The n-th time a lane comes to an instruction belongs to the
// n-th time of the other lanes, which is what a warp does that does not diverge.
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

namespace birkhoff::emulator {

struct Cost {
  uint64_t spent = 0, fewest = 0;
};

struct LaneAccess {
  unsigned lane;
  uint64_t address;
  size_t bytes;
};

// 32-byte sectors that the accesses touch; fewest: the distinct bytes, densely packed.
Cost sectors(const std::vector<LaneAccess>& accesses);

// Passes over 32 banks of 4 bytes. Up to 4 bytes a lane go in one pass, 8 in two halves of the
// warp, 16 in four quarters; a pass is repeated until no bank has two different words left.
Cost wavefronts(const std::vector<LaneAccess>& accesses);

class Requests {
 public:
  struct Instruction {
    unsigned warp;  // of the cluster
    uint32_t site;
    bool shared, write;
    auto operator<=>(const Instruction&) const = default;
  };
  void add(const Instruction& instruction, const LaneAccess& access);
  // Adds up what the cluster has asked for, and forgets it.
  void end_cluster(Cost& global, Cost& shared);

 private:
  struct Repeated {
    unsigned times[32] = {};  // each lane has come
    std::vector<std::vector<LaneAccess>> requests;
  };
  std::map<Instruction, Repeated> instructions_;
};

}  // namespace birkhoff::emulator
