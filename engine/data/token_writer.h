#pragma once
// Writes a token dataset (token_dataset.h), document by document, in memory of 4 bytes per
// document. Nothing appears under the final names before commit(): the files are written to
// temporary names in the same directory (base/temporary.h), flushed, read back for their hashes,
// and renamed, the index last, because a dataset exists when its index does. For one thread.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/temporary.h"
#include "engine/data/manifest.h"
#include "engine/data/token_format.h"

namespace birkhoff {

class TokenWriter {
 public:
  // Throws DataError if the files may not be written (check_dataset_outputs; `inputs` are what the
  // ids are made from); ResourceError if the directory cannot be written. Removes temporary files
  // of this prefix whose writers are gone.
  TokenWriter(const Path& prefix, TokenType type, bool overwrite = false,
              std::span<const Path> inputs = {});
  TokenWriter(const TokenWriter&) = delete;
  TokenWriter& operator=(const TokenWriter&) = delete;

  // Appends a document's ids as they are, end-of-document included. Throws DataError on an id that
  // does not fit the type and on 2^31 ids or more.
  void add_document(std::span<const int32_t> ids);

  // Fills in tokens, documents and hashes of the manifest. Throws DataError if there are no tokens.
  void commit(DatasetManifest manifest);

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return int64_t(lengths_.size()); }

 private:
  // A file of the dataset under its temporary name.
  struct Aside {
    explicit Aside(const Path& path);
    void move();  // to its final name

    Path final_path;
    std::unique_ptr<File> file;
    std::optional<Temporary> temporary;
  };
  void write_index(Aside& index);

  Path prefix_;
  TokenType type_;
  bool overwrite_;
  std::unique_ptr<Aside> bin_;
  std::vector<std::byte> buffer_;
  std::vector<int32_t> lengths_;  // of each document
  int64_t tokens_ = 0;
};

}  // namespace birkhoff
