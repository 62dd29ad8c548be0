#pragma once
// PREFIX.json: what a token dataset was made from. Our own, and optional: Megatron's datasets have
// none.
// Errors are DataError (exit code 3). Thread-safe: no state.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"

namespace birkhoff {

struct DatasetManifest {
  struct Tokenizer {
    std::string name = {};        // "byte", or the name of a tokenizer.json
    int64_t vocab = 0;            // ids are in [0, vocab)
    int64_t end_of_document = 0;  // the last token of each document
    // xxh3-128 of PREFIX.tokenizer.json, 32 hexadecimal digits; empty: there is no such file.
    std::string hash = {};
    bool operator==(const Tokenizer&) const = default;
  };
  Tokenizer tokenizer = {};
  int64_t tokens = 0, documents = 0;
  int64_t bytes = 0;  // of text, without end-of-document tokens
  // xxh3-128 of the two files, 32 hexadecimal digits; empty: not known.
  std::string bin_hash = {}, idx_hash = {};

  bool operator==(const DatasetManifest&) const = default;
};

// `text` is hostile: size and nesting are limited, duplicate keys and NUL refused. Throws unless it
// is a manifest of a version known here; `path` names it in messages.
DatasetManifest parse_dataset_manifest(std::string_view text, const Path& path);
// nullopt if there is no such file.
std::optional<DatasetManifest> read_dataset_manifest(const Path& path);
std::string to_json(const DatasetManifest& manifest);

}  // namespace birkhoff
