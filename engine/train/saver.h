#pragma once
// Saves the checkpoints of a run. All its ranks write, each its share of what all hold.
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
  // keep ≥ 2, or kKeepAll. `proven`: the manifest hash of a checkpoint that was read to the last
  // byte, or empty.
  Saver(Path run_directory, int64_t keep, Communicator& ranks, Beacon& beacon,
        const std::string& proven);

  // Saves `tensors`, the same on all ranks, as the run's checkpoint of info.step, then prunes.
  // `tokenizer_json` is that of info.tokenizer; rank 0 writes it. Throws ResourceError (exit code
  // 5), and then leaves no trace.
  void save(const CheckpointInfo& info, std::span<const TensorView> tensors,
            std::string_view tokenizer_json);
  // The run directory was renamed or replaced. All ranks pass the same path.
  void follow_to(const Path& run_directory) { run_directory_ = run_directory; }

 private:
  Path run_directory_;
  int64_t keep_;
  Communicator& ranks_;
  Beacon& beacon_;
  std::set<std::string> proven_;
};

}  // namespace birkhoff
