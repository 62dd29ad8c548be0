#pragma once
// What is common to all bodies of a communicator: a call's rules and its part that is a copy.
// Stateless.
#include "comm/communicator.h"

namespace birkhoff {

// Throws InternalError "[operation] …" unless the call fits rank `rank` of a group of `size`.
void check_call(const CommCall& call, int rank, int size);

// What a rank keeps for itself: its part of an all_gather or an all_to_all; alone, all of it.
void copy_own(const CommCall& call, int rank, int size);

// Dtype and bytes of the buffers a call names; count is what the call is said to be "of".
DType dtype_of(const CommCall& call);
int64_t count_of(const CommCall& call);

}  // namespace birkhoff
