#pragma once
// Checks that pieces cover a tensor exactly once. Thread-safe: no state.
#include <span>
#include <string>

#include "engine/checkpoint/manifest.h"

namespace birkhoff {

// Returns an empty text, or what is wrong, with one element that is in no piece or in several.
// Pieces of one box must cover that box, and the boxes must cover the tensor. A proof in n log n,
// whatever the layout: the indicator of a box is determined by its corners with alternating signs
// (its mixed difference), so boxes cover the whole exactly once if and only if their corners add up
// to those of the whole. REQUIRES slices that lie in the shape, ascending.
std::string cover_fault(const Shape& shape, std::span<const StoredPiece> pieces);

}  // namespace birkhoff
