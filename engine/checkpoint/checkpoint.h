#pragma once
// Reading checkpoints: a directory `step-00000100` of safetensors shards and a manifest
// (docs/formats/checkpoint.md). Saving is in engine/checkpoint/save.h.
//
// Loading trusts nothing: every byte is covered by a hash, which is verified by whoever reads that
// byte; files are opened beneath the directory without following links. Errors of loading, of the
// file system too, are CheckpointError (exit code 4) that name file, tensor and byte range.
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
  // tensor. A directory whose name is that of another step is refused.
  static Checkpoint open(const Path& directory);

  const Path& path() const { return directory_.path(); }
  const Manifest& manifest() const { return manifest_; }
  const StoredTensor* find(std::string_view name) const;  // null: no such tensor

  // The bytes of `slice` of tensor `name`, out of whatever pieces it was saved in; each chunk that
  // holds some of them is verified. Takes memory of one chunk beyond `bytes`. Throws if the tensor
  // is missing or is not `whole`. After an exception `bytes` must not be used. REQUIRES a slice
  // that lies in it, of bytes.size() bytes.
  void read(std::string_view name, const TensorSpec& whole, const Slice& slice,
            std::span<std::byte> bytes, const ByteProgress& progress = {}) const;
  // All of it.
  void read(std::string_view name, const TensorSpec& spec, std::span<std::byte> bytes,
            const ByteProgress& progress = {}) const;

  // The tokenizer that its manifest names, with the verified bytes of tokenizer.json.
  ModelTokenizer tokenizer() const;

  // Reads and verifies all that open() has not: in memory of one chunk.
  void verify(const ByteProgress& progress = {}) const;

 private:
  Checkpoint(Directory directory, Manifest manifest)
      : directory_(std::move(directory)), manifest_(std::move(manifest)) {}
  const StoredTensor& wanted(std::string_view name, const TensorSpec& whole) const;

  Directory directory_;
  Manifest manifest_;
};

// To resume from the newest checkpoint that is whole: take `candidates` in turn, open and read,
// and go on to the next one after a CheckpointError. Nothing is moved or removed.
//
// What may be a checkpoint of a run, newest first: directories and links that are named
// checkpoint_name(some step). Empty if the run has none.
std::vector<Path> checkpoint_candidates(const Path& run_directory);
// Checkpoint::open, but links are refused: a run's checkpoints are its own.
Checkpoint open_candidate(const Path& candidate);

// The candidates, each opened; those that do not open are named with the reason.
struct FoundCheckpoints {
  std::vector<Path> valid;
  std::vector<std::string> refused;
};
FoundCheckpoints find_checkpoints(const Path& run_directory);

// The newest one that opens; none if the run has no checkpoints. Throws CheckpointError if it has
// some and none opens: a run must not start from fresh weights by mistake.
std::optional<Checkpoint> latest_checkpoint(const Path& run_directory);

// `path` is a checkpoint, or a run directory, whose newest valid one is taken.
Checkpoint open_checkpoint(const Path& path);

}  // namespace birkhoff
