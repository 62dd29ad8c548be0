#pragma once
// Identifies a call. It is sent before the call's data, and its receiver compares it with its own
// call. Stateless.
#include <cstdint>
#include <string>
#include <type_traits>

#include "comm/communicator.h"

namespace birkhoff {

struct Signature {
  // Number among the collectives of the group, or among the messages from one rank to another; from
  // 1.
  int64_t sequence = 0;
  int64_t count = 0;  // all_to_all: elements from this rank to that one
  int32_t group = 0;
  int32_t from = 0, to = 0;  // ranks of the whole run
  int32_t root = 0;
  Collective operation = Collective::barrier;
  DType dtype = DType::none;
  Reduction reduction = Reduction::sum;
  uint8_t unused[5] = {};

  bool operator==(const Signature&) const = default;
};
static_assert(std::has_unique_object_representations_v<Signature> && sizeof(Signature) == 40);

// Names the call that arrived and the call that its receiver is in: "rank 2 is in all_reduce of 100
// f32 (its 17th call in group 0), rank 0 in broadcast of 4 i64 …".
std::string mismatch(const Signature& arrived, const Signature& expected);

}  // namespace birkhoff
