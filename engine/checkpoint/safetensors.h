#pragma once
// Files of named tensors in the safetensors format (https://github.com/huggingface/safetensors):
//
//   u64 length N, little endian | N bytes of JSON, padded with spaces | the tensors' bytes
//   JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, …}
//
// Written: F32, BF16, F16, F8_E4M3, I32, I64, F64; tensors in order of name without gaps; data at
// a multiple of 8. Read: the same dtypes, tensors in any order, but covering the data exactly.
// Nothing in a file is trusted: lengths are checked before anything is allocated; other or deeper
// JSON, duplicate names, unknown dtypes, sizes that overflow, and ranges that overlap, leave a hole
// or leave the file are refused. Errors of reading are CheckpointError (exit code 4) that name the
// file and the tensor. Thread-safe: no state.
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.h"

namespace birkhoff {

inline constexpr size_t kMaxSafetensorsHeader = 100'000'000;  // the format's own limit
inline constexpr size_t kMaxTensorDims = 16;
inline constexpr size_t kMaxTensorName = 255;

// Whether `name` is parts of [A-Za-z0-9_-]+ joined by single dots, at most kMaxTensorName bytes.
bool is_tensor_name(std::string_view name);

struct NamedTensor {
  std::string name;
  TensorSpec spec;
  std::span<const std::byte> bytes;
};

struct SafetensorsEntry {
  std::string name;
  TensorSpec spec;
  size_t begin = 0, end = 0;  // bytes of the file
  bool operator==(const SafetensorsEntry&) const = default;
};

struct SafetensorsHeader {
  size_t bytes = 0;  // of length and JSON: where the tensors start
  std::map<std::string, std::string> metadata;
  std::vector<SafetensorsEntry> tensors;  // ascending by position in the file
};

// The length and JSON at the start of a file of these tensors; ignores their bytes. REQUIRES names
// that ascend and satisfy is_tensor_name.
std::string safetensors_header(std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata);

// The size of length and JSON, read from the first 8 bytes of a file of `file_bytes` bytes. `file`
// names it in messages.
size_t safetensors_header_bytes(std::span<const std::byte> start, size_t file_bytes,
                                std::string_view file);
// REQUIRES `header` to be exactly those bytes.
SafetensorsHeader parse_safetensors(std::span<const std::byte> header, size_t file_bytes,
                                    std::string_view file);

}  // namespace birkhoff
