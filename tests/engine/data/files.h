#pragma once
// Datasets on disk for the tests of engine/data, and an encoder of the index that shares nothing
// with the writer under test.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "engine/data/token_writer.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

// Does not wait for the disk, unlike write_file, since mutations come by thousands. Writes a new
// file, because ext4 flushes one that is truncated and written again.
inline void put(const Path& path, const std::string& bytes) {
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Encodes little-endian, byte by byte.
inline std::string le(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += char(value >> 8 * i & 0xFF);
  return out;
}

struct RawIndex {
  std::string magic = std::string("MMIDIDX\0\0", 9);
  uint64_t version = 1;
  int type = 8;
  std::vector<int64_t> sizes, pointers, documents;
  std::string tail = "";

  std::string bytes() const {
    std::string out = magic + le(version, 8) + le(uint64_t(type), 1) + le(sizes.size(), 8) +
                      le(documents.size(), 8);
    for (const int64_t x : sizes) out += le(uint64_t(x), 4);
    for (const int64_t x : pointers) out += le(uint64_t(x), 8);
    for (const int64_t x : documents) out += le(uint64_t(x), 8);
    return out + tail;
  }
};

// A dataset whose documents have the given ids.
inline void write_dataset(const Path& prefix, const std::vector<std::vector<int32_t>>& documents,
                          int64_t vocab = 257, TokenType type = TokenType::u16) {
  TokenWriter writer(prefix, type, true);
  for (const auto& ids : documents) writer.add_document(ids);
  writer.commit({.tokenizer = {.name = "byte", .vocab = vocab, .end_of_document = 256}});
}

// Documents of these lengths whose tokens, over the whole dataset, are 0, 1, 2, …, so that a token
// shows where it was read.
inline void write_counting(const Path& prefix, const std::vector<int64_t>& lengths) {
  std::vector<std::vector<int32_t>> documents;
  int32_t id = 0;
  for (const int64_t length : lengths) {
    auto& document = documents.emplace_back();
    for (int64_t i = 0; i < length; ++i) document.push_back(id++);
  }
  write_dataset(prefix, documents, int64_t(1) << 30, TokenType::i32);
}

// The message of the DataError that `f` throws; "" if it throws none.
template <class F>
std::string data_error(F&& f) {
  try {
    f();
  } catch (const DataError& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << "an error is one line: " << what;
    return what;
  }
  return "";
}

}  // namespace birkhoff::testing
