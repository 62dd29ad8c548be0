#pragma once
// Reading checkpoints: a directory `step-00000100` of safetensors shards and a manifest
// (docs/formats/checkpoint.md). Saving is in engine/checkpoint/save.h.
//
// Loading trusts nothing: every byte is covered by a hash, which whoever reads that byte verifies;
// files are opened beneath the directory without following links. Errors of loading, including
// those of the file system, are CheckpointError (exit code 4) that name file, tensor and byte
// range.
//
// A Checkpoint may be read from several threads, and by any number of processes.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/directory.h"
#include "engine/checkpoint/save.h"

namespace birkhoff {

std::string checkpoint_name(int64_t step);                         // "step-00000100"
std::optional<int64_t> step_of_checkpoint(std::string_view name);  // none: not such a name

class Checkpoint {
 public:
  // Validates the manifest, the size and header of every shard, and tokenizer.json; reads no
  // tensor. Refuses a directory whose name is that of another step.
  static Checkpoint open(const Path& directory);

  const Path& path() const { return directory_.path(); }
  const Manifest& manifest() const { return manifest_; }
  const StoredTensor* find(std::string_view name) const;  // null: no such tensor

  // Reads the bytes of `slice` of tensor `name`, from whatever pieces it was saved in; each chunk
  // that holds some of them is verified. Needs memory for one chunk beyond `bytes`. Throws if the
  // tensor is missing or its spec is not `whole`. After an exception `bytes` must not be used.
  // REQUIRES a slice that lies in the tensor, of bytes.size() bytes.
  void read(std::string_view name, const TensorSpec& whole, const Slice& slice,
            std::span<std::byte> bytes, const ByteProgress& progress = {}) const;
  // Reads the whole tensor.
  void read(std::string_view name, const TensorSpec& spec, std::span<std::byte> bytes,
            const ByteProgress& progress = {}) const;

  // The tokenizer that the manifest names, with the verified bytes of tokenizer.json.
  ModelTokenizer tokenizer() const;

  // Reads and verifies everything that open() has not, in memory for one chunk.
  void verify(const ByteProgress& progress = {}) const;

 private:
  Checkpoint(Directory directory, Manifest manifest)
      : directory_(std::move(directory)), manifest_(std::move(manifest)) {}
  const StoredTensor& wanted(std::string_view name, const TensorSpec& whole) const;

  Directory directory_;
  Manifest manifest_;
};

// To resume from the newest checkpoint that is whole, try the candidates in turn: open and read,
// and go on to the next one after a CheckpointError. Nothing is moved or removed.
//
// Candidates are what may be a checkpoint of the run, newest first: directories and links named
// checkpoint_name(some step). Empty if the run has none.
std::vector<Path> checkpoint_candidates(const Path& run_directory);
// Checkpoint::open, except that links are refused: a run's checkpoints are its own.
Checkpoint open_candidate(const Path& candidate);

// The candidates that open, and for each other one the reason.
struct FoundCheckpoints {
  std::vector<Path> valid;
  std::vector<std::string> refused;
};
FoundCheckpoints find_checkpoints(const Path& run_directory);

// The newest checkpoint that opens; nullopt if the run has none. Throws CheckpointError if it has
// some and none opens: a run must not start from fresh weights by mistake.
std::optional<Checkpoint> latest_checkpoint(const Path& run_directory);

// Opens `path`: a checkpoint, or a run directory, whose newest valid checkpoint is taken.
Checkpoint open_checkpoint(const Path& path);

}  // namespace birkhoff
