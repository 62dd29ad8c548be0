#pragma once
// Saving a checkpoint (docs/formats/checkpoint.md), in steps that ranks can share. Nothing here
// communicates or knows ranks but by number; the caller sends what is sent and makes all ranks
// agree:
//
//   rank 0      begin_checkpoint      → wait for it →
//   every rank  write_shards          → index_text to rank 0 →
//   rank 0      commit_checkpoint, or, if any rank failed, abandon_checkpoint
//
// All or nothing: until the rename inside commit_checkpoint the files are in a directory beside the
// final one, under a name that no reader takes for a checkpoint. An existing checkpoint is never
// overwritten, and no other one is touched. Errors of the file system are ResourceError (exit code
// 5): one line with path, bytes needed and free. One job saves into a directory at a time
// (RunDirectory's lock).
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/safetensors.h"

namespace birkhoff {

// Called with the bytes written, read or hashed since the previous call, at least every 16 MiB, so
// that a watchdog sees progress.
using ByteProgress = std::function<void(size_t bytes)>;

struct SaveOptions {
  size_t shard_bytes = size_t(4) << 30;   // tensor bytes per shard; one larger piece has its own
  size_t chunk_bytes = size_t(16) << 20;  // hashed together, 1 … kMaxHashChunk; same on all ranks
  ByteProgress progress = {};
};

// The part of a tensor that a rank holds or writes.
struct Piece {
  std::string name;
  TensorSpec whole;  // of the whole tensor
  Slice slice;       // which part of it; empty if the tensor has no elements
  std::span<const std::byte> bytes;
};
std::vector<Piece> whole_pieces(std::span<const NamedTensor> tensors);

// What rank `rank` of `ranks` should write if all of them hold `pieces`: every byte belongs to one
// rank, and ranks differ by at most `cut_bytes` or a row. Pieces of more than `cut_bytes` are cut
// between rows of their first dim (anywhere, if they are flat ranges). Depends on names, specs and
// slices alone; ascending by name. A tensor without elements goes to rank 0.
std::vector<Piece> share_of(std::span<const Piece> pieces, int rank, int ranks,
                            size_t cut_bytes = size_t(4) << 20);

// What write_shards wrote, in the manifest's terms.
struct ShardIndex {
  int64_t step = 0;
  int rank = 0;
  size_t chunk_bytes = 0;
  std::vector<ShardFile> files = {};       // ascending by name
  std::vector<StoredTensor> tensors = {};  // ascending by name; only this rank's pieces
  bool operator==(const ShardIndex&) const = default;
};
// An index as text to be sent: in one form, with its own hash. Parsing throws InternalError if the
// text is not what index_text made: ranks run the same program.
std::string index_text(const ShardIndex& index);
ShardIndex parse_index(std::string_view text);

// Creates the temporary directory beside `directory`, and its parents, durably; removes what a
// killed save left there. Throws if `directory` exists. `bytes`, the total that all ranks will
// write, is for the error message.
void begin_checkpoint(const Path& directory, size_t bytes = 0);

// Writes and flushes the files of one rank; the pieces may be in any order. A rank without pieces
// writes none. REQUIRES names that satisfy is_tensor_name, slices that lie in their tensors, and
// bytes that do not change meanwhile.
ShardIndex write_shards(const Path& directory, int64_t step, int rank,
                        std::span<const Piece> pieces, const SaveOptions& options = {});

// Writes tokenizer.json and the manifest, flushes the directory, renames it, flushes its parent;
// returns the manifest's hash. REQUIRES a tokenizer_json of the size and hash in info.tokenizer, or
// none if that has no file. Throws InternalError if the indices are not from one save or do not
// cover each tensor once, ResourceError if a listed file does not exist. After an exception, call
// abandon_checkpoint.
std::string commit_checkpoint(const Path& directory, const CheckpointInfo& info,
                              std::span<const ShardIndex> indices,
                              std::string_view tokenizer_json = {});

// Removes what begin_checkpoint and write_shards made, if commit_checkpoint has not renamed it, as
// far as the file system allows; throws nothing.
void abandon_checkpoint(const Path& directory) noexcept;

// All of the above for one rank that holds everything; returns the manifest's hash.
std::string save_checkpoint(const Path& directory, const CheckpointInfo& info,
                            std::span<const NamedTensor> tensors, const SaveOptions& options = {},
                            std::string_view tokenizer_json = {});

// Removes old checkpoints of a run, except the newest `keep` ≥ 2: only the files that their own
// manifests list. `proven` holds the manifest hashes of checkpoints that this process committed or
// has read to the last byte: none is removed unless two newer ones are proven, so that the newest
// two valid ones stay whatever has happened to others. A checkpoint that does not open is neither
// counted nor removed. Removes leftovers first. Throws ResourceError.
void prune_checkpoints(const Path& run_directory, int64_t keep,
                       const std::set<std::string>& proven);

// Renames a checkpoint that could not be read to refused-step-00000100 (or …-2, …-3), so that a run
// that fell back to an older one can save that step again. Its contents are neither changed nor
// removed. Returns its new path. Throws ResourceError.
Path set_refused_aside(const Path& checkpoint);

// Removes what killed saves and prunings of a run left half done: directories with their names, and
// in them only files that the format names. Only for the holder of the run's lock. Throws
// ResourceError if the directories cannot be listed; what cannot be removed stays.
void remove_leftovers(const Path& run_directory);

}  // namespace birkhoff
