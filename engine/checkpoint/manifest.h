#pragma once
// manifest.json of a checkpoint: what was saved, where each byte lies, and a hash of every byte,
// the manifest's own included (docs/formats/checkpoint.md). Equal contents have equal bytes: it
// holds no time, host or path. Thread-safe: no state.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/box.h"
#include "engine/checkpoint/tokenizer_identity.h"

namespace birkhoff {

inline constexpr int kCheckpointFormat = 2;     // the version written
inline constexpr int kOldCheckpointFormat = 1;  // read too: the same without `tokenizer`
inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr size_t kMaxManifest = size_t(256) << 20;
inline constexpr size_t kMaxHashChunk = size_t(64) << 20;  // bounds a reader's memory
inline constexpr size_t kMaxPieces = 65536;  // per tensor: 1,024 ranks write 1,024 of the largest
inline constexpr size_t kMaxCutDims = 4;     // per tensor: real layouts cut one or two

// What the training loop records in a checkpoint.
struct CheckpointInfo {
  int64_t step = 0;    // finished optimizer steps
  int64_t tokens = 0;  // trained on so far
  uint64_t seed = 0;
  std::string model = {};  // fingerprint: the config keys that define the model, as text
  std::string data = {};   // fingerprint: the data set, as text
  // The tokenizer of the model's ids; its tokenizer.json, if it has one, is in the checkpoint.
  // None: the model was trained, or imported, by a program that wrote version 1 and did not note
  // it.
  std::optional<TokenizerIdentity> tokenizer = {};
  std::string config = {};                        // the effective config, YAML
  std::map<std::string, std::string> state = {};  // numbers as shortest exact text
  bool operator==(const CheckpointInfo&) const = default;
};

struct ShardFile {
  std::string name;
  size_t bytes = 0;
  size_t header_bytes = 0;
  std::string header_hash;
  bool operator==(const ShardFile&) const = default;
};

struct StoredPiece {
  Slice slice;  // of the whole tensor
  std::string file;
  size_t begin = 0, end = 0;        // bytes in the file
  std::vector<std::string> hashes;  // one per chunk_bytes bytes; the last chunk may be shorter
  bool operator==(const StoredPiece&) const = default;
};

struct StoredTensor {
  std::string name;
  TensorSpec spec;                  // of the whole tensor
  std::vector<StoredPiece> pieces;  // ascending by slice; none if the tensor has no elements
  bool operator==(const StoredTensor&) const = default;
};

// The order of pieces: by box.begin, box.end, begin.
bool slice_before(const Slice& a, const Slice& b);
// How a piece of `whole` is listed in its shard: a box with its extents, a flat range as a vector.
TensorSpec entry_spec(const TensorSpec& whole, const Slice& slice);

struct Manifest {
  CheckpointInfo info = {};
  size_t chunk_bytes = size_t(16) << 20;
  std::vector<ShardFile> files = {};       // ascending by name
  std::vector<StoredTensor> tensors = {};  // ascending by name
  std::string hash = {};                   // of the text it was parsed from
  // Compares contents: the texts may differ in spaces, and so in hashes.
  bool operator==(const Manifest& m) const {
    return std::tie(info, chunk_bytes, files, tensors) ==
           std::tie(m.info, m.chunk_bytes, m.files, m.tensors);
  }
};

// "rank-0000-part-0000.safetensors": the name of a file that a rank wrote, numbered in order.
std::string shard_name(int rank, int part);
bool is_shard_name(std::string_view name);

// Empty, or why no reader would accept the manifest: files and tensors out of order, a piece that
// does not lie in its tensor or has the wrong number of bytes, or pieces that do not cover each
// tensor and each file (after its header) exactly once. n log n in the number of pieces.
std::string manifest_fault(const Manifest& manifest);

std::string manifest_text(const Manifest& manifest);  // ignores `hash`
std::string manifest_hash(std::string_view text);     // of a text made by manifest_text

// Throws CheckpointError (exit code 4) that begins with `place`, unless the text matches its own
// hash, every field is present with its type and none is unknown, names satisfy their grammar, and
// manifest_fault finds nothing.
Manifest parse_manifest(std::string_view text, std::string_view place);

}  // namespace birkhoff
