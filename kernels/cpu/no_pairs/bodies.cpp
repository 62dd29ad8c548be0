// Stands in on architectures without bodies for pairs of bf16, see kernels/cpu/pairs.h.
#include "kernels/cpu/pairs.h"

namespace birkhoff::cpu {

const PairBodies* pair_bodies() { return nullptr; }
void allow_pairs(bool) {}

}  // namespace birkhoff::cpu
