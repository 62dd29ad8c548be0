#pragma once
// The tensors of a Hugging Face directory: model.safetensors, or several files with an index.
// Opening reads only headers; a tensor is read on request, into the caller's memory. Files are
// opened by plain names beneath the directory, without following links. Errors, including those of
// the file system, are CheckpointError (exit code 4) that name file and tensor. Thread-safe for
// const use.
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/directory.h"
#include "base/shape.h"

namespace birkhoff {

struct HfTensor {
  TensorSpec spec;
  size_t file = 0;   // index of its file
  size_t begin = 0;  // its first byte in that file
};

class HfWeights {
 public:
  // Throws unless index and files name the same tensors, each once.
  explicit HfWeights(const Directory& directory);

  const std::map<std::string, HfTensor>& tensors() const { return tensors_; }
  const Path& path(const HfTensor& tensor) const { return files_[tensor.file].path(); }

  // Reads as many values as `values` has room for, from element `first` on, converted to f32
  // exactly. fp8 values are read without the scale of their block. REQUIRES a tensor of tensors(),
  // of f32, bf16, f16 or f8_e4m3, that has those elements.
  void read(const HfTensor& tensor, std::span<float> values, size_t first = 0) const;

 private:
  void add(const Directory& directory, const std::string& file,
           const std::map<std::string, std::string>* index);

  std::vector<InputFile> files_;
  std::map<std::string, HfTensor> tensors_;
};

// Reads a file of such a directory, of at most `limit` bytes. Throws CheckpointError.
std::string read_hf_text(const Directory& directory, std::string_view name, size_t limit);

}  // namespace birkhoff
