#pragma once
// A token dataset, read by mmap: PREFIX.bin holds the ids of all documents one behind the other,
// PREFIX.idx where each begins, PREFIX.json (optional) what they are. The format is Megatron's
// (magic MMIDIDX, version 1); docs/formats/dataset.md has the bytes.
//
// Everything in the index is checked when the dataset is opened, in one pass over it, before memory
// is taken for it; what is kept is 8 bytes a document. Errors are DataError (exit code 3) that name
// the file, what is wrong and what to do.
//
// Immutable, so thread-safe. The files must not change underneath: each read asks the file's size
// first, so that a file that was cut is an error and not a SIGBUS; what remains is a cut within the
// microseconds between that question and the copy. Changed bytes are found by verify() alone.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/files.h"
#include "engine/data/manifest.h"
#include "engine/data/token_format.h"

namespace birkhoff {

class TokenDataset {
 public:
  explicit TokenDataset(const Path& prefix);

  const Path& prefix() const { return prefix_; }
  TokenType type() const { return type_; }
  int64_t tokens() const { return begins_.back(); }
  int64_t documents() const { return int64_t(begins_.size()) - 1; }
  int64_t sequences() const { return sequences_; }  // ≥ documents() in Megatron's format

  // Index of a document's first token; begin(documents()) is tokens(). A document may be empty.
  int64_t begin(int64_t document) const { return begins_[size_t(document)]; }
  int64_t length(int64_t document) const { return begin(document + 1) - begin(document); }

  const std::optional<DatasetManifest>& manifest() const { return manifest_; }

  // Copies the tokens [first, first + out.size()). REQUIRES a range within tokens(). Throws
  // DataError on an id outside [0, vocab), with document, position, id and vocab.
  void read(int64_t first, std::span<int32_t> out, int64_t vocab) const;

  // The bytes of PREFIX.bin. Throws if the file has been cut since.
  std::span<const std::byte> bytes() const;

 private:
  void check_manifest() const;
  [[noreturn]] void refuse_token(int64_t first, int64_t vocab) const;

  Path prefix_;
  MappedFile bin_;
  TokenType type_ = TokenType::u16;
  int64_t sequences_ = 0;
  std::vector<int64_t> begins_;  // [documents + 1]
  std::optional<DatasetManifest> manifest_;
};

}  // namespace birkhoff
