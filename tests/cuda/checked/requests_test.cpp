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
  expect(sectors(warp(4, [](unsigned lane) { return 132 + 4 * lane; })), 5, 4);  // misaligned
  expect(sectors(warp(4, [](unsigned lane) { return 8 * lane; })), 8, 4);        // stride 2
  expect(sectors(warp(4, [](unsigned lane) { return 128 * lane; })), 32, 4);     // a column
  expect(sectors(warp(4, [](unsigned) { return 64; })), 1, 1);                   // broadcast
  expect(sectors(warp(16, [](unsigned lane) { return 16 * lane; })), 16, 16);
}

TEST(Requests, Wavefronts) {
  expect(wavefronts(warp(4, [](unsigned lane) { return 4 * lane; })), 1, 1);
  expect(wavefronts(warp(4, [](unsigned lane) { return 8 * lane; })), 2, 1);     // two per bank
  expect(wavefronts(warp(4, [](unsigned lane) { return 128 * lane; })), 32, 1);  // all in one bank
  expect(wavefronts(warp(4, [](unsigned lane) { return 132 * lane; })), 1, 1);   // padded
  expect(wavefronts(warp(4, [](unsigned) { return 4; })), 1, 1);                 // broadcast
  expect(wavefronts(warp(2, [](unsigned lane) { return 2 * lane; })), 1, 1);     // two per word
  expect(wavefronts(warp(8, [](unsigned lane) { return 8 * lane; })), 2, 2);
  expect(wavefronts(warp(16, [](unsigned lane) { return 16 * lane; })), 4, 4);
  // ldmatrix: 64-byte rows start in only two groups of banks, so 4 of 8 rows conflict; 144-byte
  // rows do not.
  expect(wavefronts(warp(16, [](unsigned lane) { return 64 * lane; })), 16, 4);
  expect(wavefronts(warp(16, [](unsigned lane) { return 144 * lane; })), 4, 4);
}

TEST(Requests, TimesOfLanesBelongTogether) {
  Requests requests;
  Cost global, shared;
  // Lane 1 executes twice before lane 0 does; its first execution still belongs to lane 0's first.
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
