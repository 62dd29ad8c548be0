#pragma once
// What the lanes of a warp request from memory by one instruction, and its cost: sectors of global
// memory, wavefronts of shared memory. A lane's n-th execution of an instruction is combined with
// the n-th of the other lanes, which is exact for a warp that does not diverge.
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

// The 32-byte sectors that the accesses touch; fewest: if the distinct bytes were densely packed.
Cost sectors(const std::vector<LaneAccess>& accesses);

// Wavefronts over 32 banks of 4 bytes. Up to 4 bytes per lane go in one pass over the warp, 8 in
// two halves, 16 in four quarters; a pass takes a further wavefront for each bank conflict.
Cost wavefronts(const std::vector<LaneAccess>& accesses);

class Requests {
 public:
  struct Instruction {
    unsigned warp;  // number in the cluster
    uint32_t site;
    bool shared, write;
    auto operator<=>(const Instruction&) const = default;
  };
  void add(const Instruction& instruction, const LaneAccess& access);
  // Adds up the cost of the cluster's requests, and forgets them.
  void end_cluster(Cost& global, Cost& shared);

 private:
  struct Repeated {
    unsigned times[32] = {};  // executions by each lane
    std::vector<std::vector<LaneAccess>> requests;
  };
  std::map<Instruction, Repeated> instructions_;
};

}  // namespace birkhoff::emulator
