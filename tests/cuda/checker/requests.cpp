#include "tests/cuda/checker/requests.h"

#include <algorithm>
#include <set>

namespace birkhoff::emulator {
namespace {

constexpr uint64_t kSector = 32, kWord = 4, kBanks = 32;

}  // namespace

Cost sectors(const std::vector<LaneAccess>& accesses) {
  std::set<uint64_t> touched, bytes;
  for (const LaneAccess& a : accesses)
    for (uint64_t b = a.address; b < a.address + a.bytes; ++b)
      touched.insert(b / kSector), bytes.insert(b);
  return {touched.size(), (bytes.size() + kSector - 1) / kSector};
}

Cost wavefronts(const std::vector<LaneAccess>& accesses) {
  size_t widest = 0;
  for (const LaneAccess& a : accesses) widest = std::max(widest, a.bytes);
  const unsigned passes = widest <= 4 ? 1 : widest <= 8 ? 2 : 4, lanes = 32 / passes;
  Cost cost;
  for (unsigned pass = 0; pass < passes; ++pass) {
    std::set<uint64_t> words;
    for (const LaneAccess& a : accesses)
      if (a.lane / lanes == pass)
        for (uint64_t w = a.address / kWord; w <= (a.address + a.bytes - 1) / kWord; ++w)
          words.insert(w);
    uint64_t in_bank[kBanks] = {};
    for (const uint64_t w : words) ++in_bank[w % kBanks];
    cost.spent += *std::max_element(in_bank, in_bank + kBanks);
    cost.fewest += !words.empty();
  }
  return cost;
}

void Requests::add(const Instruction& instruction, const LaneAccess& access) {
  Repeated& r = instructions_[instruction];
  const unsigned time = r.times[access.lane]++;
  if (r.requests.size() <= time) r.requests.resize(time + 1);
  r.requests[time].push_back(access);
}

void Requests::end_cluster(Cost& global, Cost& shared) {
  for (const auto& [instruction, repeated] : instructions_)
    for (const auto& request : repeated.requests) {
      const Cost cost = instruction.shared ? wavefronts(request) : sectors(request);
      Cost& sum = instruction.shared ? shared : global;
      sum.spent += cost.spent, sum.fewest += cost.fewest;
    }
  instructions_.clear();
}

}  // namespace birkhoff::emulator
