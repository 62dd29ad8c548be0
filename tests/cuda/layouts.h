#pragma once
// Which element of a matrix each register of a lane holds, according to the PTX ISA (9.7.14.5,
// "Matrix fragments for mma.m16n8k16 with floating point type", "… mma.m16n8k8 …", and ldmatrix).
// Written from that text alone, so that the emulation (emulator/matrix.cpp) can be checked against
// it.
namespace birkhoff::testing {

struct Place {
  int row, column;
};

// .bf16 m16n8k16, A: element a_i of 8, two per register.
//   row = groupID for i in {0, 1, 4, 5}, groupID + 8 otherwise
//   column = 2·threadID_in_group + (i & 1) for i < 4, 8 more otherwise
constexpr Place bf16_a(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  const bool upper = (0 <= i && i < 2) || (4 <= i && i < 6);
  return {upper ? group : group + 8, in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}

// B: element b_i of 4. row = 2·threadID_in_group + (i & 1), 8 more for i >= 2; column = groupID
constexpr Place bf16_b(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {in_group * 2 + (i & 1) + (i < 2 ? 0 : 8), group};
}

// C and D of both shapes: element c_i of 4. row = groupID for i < 2, groupID + 8 otherwise;
// column = 2·threadID_in_group + (i & 1)
constexpr Place mma_d(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {i < 2 ? group : group + 8, in_group * 2 + (i & 1)};
}

// .tf32 m16n8k8, A: a_i of 4. row = groupID for a0 and a2, groupID + 8 for a1 and a3;
// column = threadID_in_group for a0 and a1, 4 more for a2 and a3
constexpr Place tf32_a(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {i == 0 || i == 2 ? group : group + 8, i == 0 || i == 1 ? in_group : in_group + 4};
}

// B: b_i of 2. row = threadID_in_group, 4 more for b1; column = groupID
constexpr Place tf32_b(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {i == 0 ? in_group : in_group + 4, group};
}

// ldmatrix .x4 .b16: register r of a lane holds two elements of matrix r; h is 0 for its low half,
// 1 for its high one. Four lanes share a row: row = lane / 4, elements 2·(lane % 4) and the next.
// With .trans each matrix is loaded in column-major format, so row and column are swapped.
constexpr Place ldmatrix(int lane, int h, bool transposed) {
  const Place p{lane / 4, lane % 4 * 2 + h};
  return transposed ? Place{p.column, p.row} : p;
}

}  // namespace birkhoff::testing
