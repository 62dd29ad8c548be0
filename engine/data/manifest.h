#pragma once
// PREFIX.json: what a token dataset was made of. Ours, and optional: Megatron's datasets have none.
// Errors are DataError (exit code 3). Thread-safe: no state.
#include <cstdint>
#include <optional>
#include <string>

#include "base/files.h"

namespace birkhoff {

struct DatasetManifest {
  struct Tokenizer {
    std::string name = {};        // "byte", or the name of a tokenizer.json
    int64_t vocab = 0;            // ids are in [0, vocab)
    int64_t end_of_document = 0;  // the last token of each document
  };
  Tokenizer tokenizer = {};
  int64_t tokens = 0, documents = 0;
  int64_t bytes = 0;  // of text, without end-of-document tokens
  // xxh3-128 of the two files, 32 hexadecimal digits; empty: not known.
  std::string bin_hash = {}, idx_hash = {};
};

// nullopt if there is no such file. Throws unless it is a manifest of a version known here.
std::optional<DatasetManifest> read_manifest(const Path& path);
std::string to_json(const DatasetManifest& manifest);

}  // namespace birkhoff
