// Known answers: CUDA C++ Programming Guide, "Device Memory Accesses" and "Shared Memory".
#include "tests/cuda/checker/requests.h"

#include <gtest/gtest.h>

#include <functional>

namespace birkhoff::emulator {
namespace {

std::vector<LaneAccess> warp(size_t bytes, const std::function<uint64_t(unsigned)>& address) {
  std::vector<LaneAccess> all;
  for (unsigned lane = 0; lane < 32; ++lane) all.push_back({lane, address(lane), bytes});
  return all;
}

void expect(const Cost& cost, uint64_t spent, uint64_t fewest) {
  EXPECT_EQ(cost.spent, spent);
  EXPECT_EQ(cost.fewest, fewest);
}

TEST(Requests, Sectors) {
  expect(sectors(warp(4, [](unsigned lane) { return 128 + 4 * lane; })), 4, 4);
  expect(sectors(warp(4, [](unsigned lane) { return 132 + 4 * lane; })), 5, 4);  // one off
  expect(sectors(warp(4, [](unsigned lane) { return 8 * lane; })), 8, 4);        // every second
  expect(sectors(warp(4, [](unsigned lane) { return 128 * lane; })), 32, 4);     // a column
  expect(sectors(warp(4, [](unsigned) { return 64; })), 1, 1);                   // one for all
  expect(sectors(warp(16, [](unsigned lane) { return 16 * lane; })), 16, 16);
}

TEST(Requests, Wavefronts) {
  expect(wavefronts(warp(4, [](unsigned lane) { return 4 * lane; })), 1, 1);
  expect(wavefronts(warp(4, [](unsigned lane) { return 8 * lane; })), 2, 1);     // two a bank
  expect(wavefronts(warp(4, [](unsigned lane) { return 128 * lane; })), 32, 1);  // all in one
  expect(wavefronts(warp(4, [](unsigned lane) { return 132 * lane; })), 1, 1);   // padded
  expect(wavefronts(warp(4, [](unsigned) { return 4; })), 1, 1);                 // broadcast
  expect(wavefronts(warp(2, [](unsigned lane) { return 2 * lane; })), 1, 1);     // two a word
  expect(wavefronts(warp(8, [](unsigned lane) { return 8 * lane; })), 2, 2);
  expect(wavefronts(warp(16, [](unsigned lane) { return 16 * lane; })), 4, 4);
  // ldmatrix: rows of 64 bytes lie in two groups of banks, so 4 of 8 meet; 144 bytes do not.
  expect(wavefronts(warp(16, [](unsigned lane) { return 64 * lane; })), 16, 4);
  expect(wavefronts(warp(16, [](unsigned lane) { return 144 * lane; })), 4, 4);
}

TEST(Requests, TimesOfLanesBelongTogether) {
  Requests requests;
  Cost global, shared;
  // Lane 1 comes twice before lane 0 does: its first time is still lane 0's first.
  const Requests::Instruction instruction{.warp = 0, .site = 0, .shared = false, .write = false};
  requests.add(instruction, {1, 4, 4});
  requests.add(instruction, {1, 68, 4});
  requests.add(instruction, {0, 0, 4});
  requests.add(instruction, {0, 64, 4});
  requests.end_cluster(global, shared);
  expect(global, 2, 2);
  expect(shared, 0, 0);
}

}  // namespace
}  // namespace birkhoff::emulator
