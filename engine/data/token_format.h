#pragma once
// Shared by the reader and the writer of token datasets: names of the files, element types, the
// header of the index. docs/formats/dataset.md has the layout of the bytes. Thread-safe: no state.
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/files.h"

namespace birkhoff {

static_assert(std::endian::native == std::endian::little, "datasets are read as they lie on disk");

// Codes of Megatron's indexed datasets; 6 and 7 are floating types, which hold no token ids.
enum class TokenType : uint8_t { u8 = 1, i8 = 2, i16 = 3, i32 = 4, i64 = 5, u16 = 8 };

constexpr size_t size_of(TokenType type) {
  switch (type) {
    case TokenType::u8:
    case TokenType::i8:
      return 1;
    case TokenType::i16:
    case TokenType::u16:
      return 2;
    case TokenType::i32:
      return 4;
    case TokenType::i64:
      return 8;
  }
  return 0;  // not a code of token ids
}

constexpr std::string_view name_of(TokenType type) {
  switch (type) {
    case TokenType::u8:
      return "uint8";
    case TokenType::i8:
      return "int8";
    case TokenType::i16:
      return "int16";
    case TokenType::u16:
      return "uint16";
    case TokenType::i32:
      return "int32";
    case TokenType::i64:
      return "int64";
  }
  return "unknown";
}

// Megatron's choice: uint16 below 65500 ids, int32 from there.
constexpr TokenType token_type_for(int64_t vocab) {
  return vocab < 65500 ? TokenType::u16 : TokenType::i32;
}

// Calls f with a value of the element type.
template <class F>
decltype(auto) dispatch(TokenType type, F&& f) {
  switch (type) {
    case TokenType::u8:
      return f(uint8_t{});
    case TokenType::i8:
      return f(int8_t{});
    case TokenType::i16:
      return f(int16_t{});
    case TokenType::u16:
      return f(uint16_t{});
    case TokenType::i32:
      return f(int32_t{});
    case TokenType::i64:
      break;
  }
  return f(int64_t{});
}

inline constexpr std::string_view kIndexMagic{"MMIDIDX\0\0", 9};
inline constexpr uint64_t kIndexVersion = 1;
inline constexpr size_t kIndexHeader = 9 + 8 + 1 + 8 + 8;  // magic, version, type, two counts

// Loads a field of the index, where nothing is aligned.
template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline Path bin_path(const Path& prefix) { return prefix.string() + ".bin"; }
inline Path idx_path(const Path& prefix) { return prefix.string() + ".idx"; }
inline Path tokenizer_path(const Path& prefix) { return prefix.string() + ".tokenizer.json"; }
inline Path manifest_path(const Path& prefix) { return prefix.string() + ".json"; }

}  // namespace birkhoff
