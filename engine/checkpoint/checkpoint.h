#pragma once
// Checkpoints: a directory `step-00000100` of safetensors shards and a manifest
// (docs/formats/checkpoint.md).
//
// Saving is all or nothing: written to a directory beside it, every file flushed, the directory
// flushed, renamed, the parent flushed. An existing checkpoint is never overwritten; a failed save
// leaves nothing behind and touches no other checkpoint. Errors are ResourceError (exit code 5):
// one line with path, bytes needed and free.
//
// Loading trusts nothing: every byte is covered by a hash, which is verified by whoever reads that
// byte; files are opened beneath the directory without following links. Errors of loading, of the
// file system too, are CheckpointError (exit code 4) that name file, tensor and byte range.
//
// One process saves into a directory at a time (RunDirectory's lock). A Checkpoint may be read from
// several threads.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/directory.h"
#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/safetensors.h"

namespace birkhoff {

struct SaveOptions {
  size_t shard_bytes = size_t(4) << 30;   // of tensors a shard; one larger tensor has its own
  size_t chunk_bytes = size_t(16) << 20;  // hashed together, 1 … kMaxHashChunk
};

std::string checkpoint_name(int64_t step);  // "step-00000100"

// Saves `tensors`, in any order, as `directory`, whose parents are made if missing. REQUIRES names
// that satisfy is_tensor_name and differ, and bytes that do not change meanwhile.
void save_checkpoint(const Path& directory, const CheckpointInfo& info,
                     std::span<const NamedTensor> tensors, const SaveOptions& options = {});

class Checkpoint {
 public:
  // Validates the manifest, and the size and header of every shard; reads no tensor. A directory
  // whose name is that of another step is refused.
  static Checkpoint open(const Path& directory);

  const Path& path() const { return directory_.path(); }
  const Manifest& manifest() const { return manifest_; }
  const StoredTensor* find(std::string_view name) const;  // null: no such tensor

  // The bytes of tensor `name`, verified as they are read. Throws if it is missing or is not
  // `spec`. After an exception `bytes` must not be used. REQUIRES bytes.size() == spec.bytes().
  void read(std::string_view name, const TensorSpec& spec, std::span<std::byte> bytes) const;

  // Reads and verifies all that open() has not: in memory of one chunk.
  void verify() const;

 private:
  Checkpoint(Directory directory, Manifest manifest)
      : directory_(std::move(directory)), manifest_(std::move(manifest)) {}

  Directory directory_;
  Manifest manifest_;
};

// The checkpoints of a run, newest first, found by opening each; those that do not open are named
// with the reason. Names that are no checkpoint_name are passed over.
struct FoundCheckpoints {
  std::vector<Path> valid;
  std::vector<std::string> refused;
};
FoundCheckpoints find_checkpoints(const Path& run_directory);

// Removes all but the newest `keep` ≥ 2 valid checkpoints of a run: the files their own manifests
// list and nothing else. Checkpoints that do not open stay. Throws ResourceError.
void prune_checkpoints(const Path& run_directory, int64_t keep);

// The newest valid one; none if the run has no checkpoints. Throws CheckpointError if it has some
// and none is valid: a run must not start from fresh weights by mistake.
std::optional<Checkpoint> latest_checkpoint(const Path& run_directory);

// `path` is a checkpoint, or a run directory, whose newest valid one is taken.
Checkpoint open_checkpoint(const Path& path);

}  // namespace birkhoff
