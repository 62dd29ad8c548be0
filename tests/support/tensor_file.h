#pragma once
// A safetensors file in memory, for tests that share tensors with PyTorch.
#include <map>
#include <string>

#include "base/files.h"
#include "tests/support/tensor.h"

namespace birkhoff::testing {

struct TensorFile {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;

  // Throw CheckpointError that names the missing key or tensor.
  const std::string& text(const std::string& key) const;
  double number(const std::string& key) const;
  const Tensor& tensor(const std::string& name) const;
  bool has(const std::string& name) const { return tensors.contains(name); }
};

TensorFile read_tensors(const Path& path);
void write_tensors(const Path& path, const TensorFile& file);

// √Σ (a − b)² by flat index, whatever the shapes; √Σ a². NaN if an element is NaN.
double distance(const Tensor& a, const Tensor& b);
double norm(const Tensor& a);

}  // namespace birkhoff::testing
