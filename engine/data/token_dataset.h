#pragma once
// A token dataset: PREFIX.bin holds the ids of all documents one after another, PREFIX.idx where
// each begins, PREFIX.json (optional) what they are. The format is Megatron's (magic MMIDIDX,
// version 1); docs/formats/dataset.md has the bytes.
//
// PREFIX.tokenizer.json is the tokenizer that made the ids, if the manifest has its hash.
//
// Opening checks everything in the index, in one pass over it, before memory is taken for it; it
// keeps 8 bytes per document. Errors are DataError (exit code 3) that name the file, what is wrong
// and what to do.
//
// Immutable, so thread-safe. Bytes are read by offset, never mapped, so that a file that is cut
// while in use is an error and never a SIGBUS; the copy costs less than 1 ns per token. Only
// verify() finds changed bytes.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/directory.h"
#include "engine/checkpoint/tokenizer_identity.h"
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

  // The tokenizer that the manifest names; its name is empty without a manifest. Reads
  // PREFIX.tokenizer.json if the manifest has its hash. Throws if the file is missing, is another
  // one, or is no tokenizer.json.
  ModelTokenizer tokenizer() const;

  // Copies the tokens [first, first + out.size()). REQUIRES a range within tokens(). Throws
  // DataError on an id outside [0, vocab), with document, position, id and vocab.
  void read(int64_t first, std::span<int32_t> out, int64_t vocab) const;

  // Fills `out` with the bytes of PREFIX.bin from `offset` on. Throws if the file has been cut.
  void read_bytes(size_t offset, std::span<std::byte> out) const;
  size_t bytes() const { return bin_.size(); }  // of PREFIX.bin

 private:
  void check_manifest() const;
  [[noreturn]] void refuse_token(int64_t token, int64_t id, int64_t vocab) const;

  Path prefix_;
  InputFile bin_;
  TokenType type_ = TokenType::u16;
  int64_t sequences_ = 0;
  std::vector<int64_t> begins_;  // [documents + 1]
  std::optional<DatasetManifest> manifest_;
};

}  // namespace birkhoff
