#pragma once
// Helpers of all Communicator implementations: the checks of a call, and the copy of a rank's own
// part. Stateless.
#include "comm/communicator.h"

namespace birkhoff {

// Throws InternalError "[operation] …" unless the call fits rank `rank` of a group of `size`.
void check_call(const CommCall& call, int rank, int size);

// Copies what a rank keeps for itself: its part of an all_gather or all_to_all, and with one rank
// the whole reduce_scatter.
void copy_own(const CommCall& call, int rank, int size);

// Dtype and number of elements of a call, as error messages state them: "all_reduce of 100 f32".
DType dtype_of(const CommCall& call);
int64_t count_of(const CommCall& call);

}  // namespace birkhoff
