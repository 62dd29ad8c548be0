#pragma once
// Checkpoints of a run, written by all its ranks: each writes its share of what all hold.
//
// Collective: all ranks make the same calls and throw the same errors. Not synchronised.
#include <set>
#include <string>

#include "comm/beacon.h"
#include "comm/communicator.h"
#include "engine/checkpoint/save.h"
#include "engine/train/tensor_view.h"

namespace birkhoff {

class Saver {
 public:
  // keep ≥ 2, or kKeepAll. `proven`: the hash of a manifest whose checkpoint was read to the last
  // byte, or nothing.
  Saver(Path run_directory, int64_t keep, Communicator& ranks, Beacon& beacon,
        const std::string& proven);

  // Saves `tensors`, the same on all ranks, as the run's checkpoint of info.step, then prunes.
  // `tokenizer_json` is that of info.tokenizer; rank 0 writes it. Throws ResourceError (exit code
  // 5), and leaves no trace then.
  void save(const CheckpointInfo& info, std::span<const TensorView> tensors,
            std::string_view tokenizer_json);
  // The run directory was renamed, or a new one stands in for it. All ranks name the same.
  void follow_to(const Path& run_directory) { run_directory_ = run_directory; }

 private:
  Path run_directory_;
  int64_t keep_;
  Communicator& ranks_;
  Beacon& beacon_;
  std::set<std::string> proven_;
};

}  // namespace birkhoff
