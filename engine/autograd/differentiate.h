#pragma once
// Differentiates a program: fills input_gradient and weight_gradient from program.forward and loss.
//
// Returns the constant that the loss's gradient starts from; the host sets it to 1.
//
// REQUIRES loss [1], made by the forward list; called once. Throws InternalError when a parameter
// gets no gradient (exit code 9: the model is wired wrongly). Guarantees:
//   · input_gradient reads no output of weight_gradient, so a schedule may defer the latter at will
//   · only what depends on a parameter is differentiated; each gradient is written once;
//     further consumers' operators add to it (base), in reverse program order
//   · calls of a recompute segment are emitted again, on fresh slots, before the segment's first
//     backward call: same operators, same inputs, so bitwise identical. Values that are read before
//     that point, or marked to be kept, survive
#include <set>

#include "engine/autograd/program.h"

namespace birkhoff {

Value differentiate(Program& program, Value loss);

// The steps of differentiate, each in its file.
using Rename = std::map<SlotId, SlotId>;
using Slots = std::set<SlotId>;
void rename_reads(Call& call, const Rename& names);
// Emits again, on fresh slots, the `calls` that rebuild what `readers` read of `dropped`, and
// points the readers to the copies.
List replay(Program& program, const std::vector<const Call*>& calls, const Slots& dropped,
            const std::vector<Call*>& readers);
void recompute_segments(Program& program);

}  // namespace birkhoff
