#pragma once
// Loads a model from a checkpoint.
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/config.h"
#include "engine/train/tensor_view.h"

namespace birkhoff {

// The config a checkpoint was trained with. Throws CheckpointError if it does not parse or if the
// manifest's tensors are not those of its model; nothing is planned or allocated before.
Config config_of(const Checkpoint& checkpoint);

// Reads and verifies every view from the checkpoint. Throws CheckpointError; the views are then in
// an undefined state.
void load_tensors(const Checkpoint& checkpoint, std::span<const TensorView> views);

}  // namespace birkhoff
