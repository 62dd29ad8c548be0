#pragma once
// Resumes a run from its newest whole checkpoint.
//
// Collective: all ranks call it and take the same checkpoint. Each reads and verifies what it
// loads; if one rank finds a fault, all go on to the next older checkpoint together, before a
// weight is used. A checkpoint that is passed over is logged with the reason. Nothing is moved or
// removed.
#include <map>
#include <optional>
#include <string>

#include "comm/beacon.h"
#include "comm/communicator.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/config.h"
#include "engine/train/tensor_view.h"
#include "engine/train/training_data.h"

namespace birkhoff {

struct Resumed {
  Path checkpoint;
  CheckpointInfo info;
  ModelTokenizer tokenizer;
  std::string manifest_hash;  // proven, as prune_checkpoints calls it: all was read
};

// nullopt if the run has no checkpoints. Throws on all ranks: CheckpointError (exit code 4) if it
// has some and none is whole; ConfigError (2) if the checkpoint is of another model or of other
// settings, DataError (3) if it is of other data or the data is of another tokenizer, unless
// run.allow_changes lists all keys that differ. After an exception the tensors are in an undefined
// state.
std::optional<Resumed> resume(const Config& config, const TrainingData& data,
                              std::span<const TensorView> tensors, Communicator& ranks,
                              Beacon& beacon);

// How `now` differs from the config of a checkpoint, in keys that a resumed run may change only if
// they are allowed, and from its data. Where to save, how the work is laid out and what is reported
// may differ.
struct ConfigChange {
  std::string key;
  std::string text;  // "optim.lr is 0.001 there and 0.002 here"
};
struct ConfigChanges {
  std::vector<ConfigChange> model;     // what the model computes, or its tensors
  std::vector<ConfigChange> settings;  // the others
  std::vector<ConfigChange> data;      // data.path: another dataset; other keys: cut differently
};
ConfigChanges changes_of(const Config& then, const Config& now);  // without `data`
// What makes the data differ. Only for fingerprints (TrainingData) that differ.
std::vector<ConfigChange> data_changes(const CheckpointInfo& then, const Config& config_then,
                                       const Config& now, const std::string& fingerprint_now);

}  // namespace birkhoff
