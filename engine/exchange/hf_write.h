#pragma once
// Writes a Hugging Face directory: config.json and safetensors files, with one tensor in memory at
// a time. The directory exists whole or not at all (base/staged_directory.h); every file is
// flushed. Errors of the file system are ResourceError (exit code 5).
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/shape.h"

namespace birkhoff {

struct HfWrite {
  std::string config;               // config.json
  std::string generation = {};      // generation_config.json; empty: none
  std::string tokenizer_json = {};  // empty: none
  struct Tensor {
    std::string name;
    TensorSpec spec;
  };
  std::vector<Tensor> tensors = {};  // ascending by name
  // Fills `bytes` with the data of a tensor.
  std::function<void(const Tensor& tensor, std::span<std::byte> bytes)> read = {};
  size_t shard_bytes = size_t(4) << 30;  // tensor bytes per file; one larger tensor has its own
};

// REQUIRES at least one tensor.
void write_hf(const Path& directory, const HfWrite& model);

}  // namespace birkhoff
