#pragma once
// Reads PREFIX.idx of a token dataset (docs/formats/dataset.md), and checks it against its own size
// and that of the token file. It is hostile input: read in windows of 64 KiB, in one pass, and the
// counts are checked against the file's size before anything else is allocated. Stateless, so
// thread-safe.
#include <cstdint>
#include <vector>

#include "base/directory.h"
#include "engine/data/token_format.h"

namespace birkhoff {

struct TokenIndex {
  TokenType type = TokenType::u16;
  int64_t sequences = 0;
  std::vector<int64_t> begins;  // token index of each document, then the number of tokens
};

// Throws DataError (exit code 3) that names the file, what is wrong and what to do.
TokenIndex read_token_index(const InputFile& file, size_t bin_bytes);

}  // namespace birkhoff
