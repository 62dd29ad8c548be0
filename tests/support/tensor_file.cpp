#include "tests/support/tensor_file.h"

#include <algorithm>
#include <cmath>

#include "base/directory.h"
#include "engine/checkpoint/safetensors.h"

namespace birkhoff::testing {

const std::string& TensorFile::text(const std::string& key) const {
  const auto at = metadata.find(key);
  if (at == metadata.end()) throw CheckpointError(fmt::format("no '{}' in the metadata", key));
  return at->second;
}

double TensorFile::number(const std::string& key) const { return std::stod(text(key)); }

const Tensor& TensorFile::tensor(const std::string& name) const {
  const auto at = tensors.find(name);
  if (at == tensors.end()) throw CheckpointError(fmt::format("no tensor {}", name));
  return at->second;
}

TensorFile read_tensors(const Path& path) {
  const InputFile file(path);
  std::vector<std::byte> bytes(file.size());
  file.read(0, bytes);
  const std::string name = path.string();
  const size_t header_bytes = safetensors_header_bytes(bytes, bytes.size(), name);
  const SafetensorsHeader header =
      parse_safetensors(std::span(bytes).first(header_bytes), bytes.size(), name);
  TensorFile all{header.metadata, {}};
  for (const SafetensorsEntry& e : header.tensors) {
    Tensor t(e.spec);
    std::copy_n(bytes.begin() + long(e.begin), e.end - e.begin, t.bytes.begin());
    all.tensors[e.name] = std::move(t);
  }
  return all;
}

void write_tensors(const Path& path, const TensorFile& file) {
  std::vector<NamedTensor> named;
  for (const auto& [name, t] : file.tensors) named.push_back({name, t.spec, t.bytes});
  std::string text = safetensors_header(named, file.metadata);
  for (const NamedTensor& t : named)
    text.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  write_file(path, text);
}

double distance(const Tensor& a, const Tensor& b) {
  check(a.spec.count() == b.spec.count(), "{} and {}", to_string(a.spec), to_string(b.spec));
  double sum = 0;
  for (int64_t i = 0; i < a.spec.count(); ++i) sum += std::pow(a.at(i) - b.at(i), 2);
  return std::sqrt(sum);
}

double norm(const Tensor& a) {
  double sum = 0;
  for (const double x : a.values()) sum += x * x;
  return std::sqrt(sum);
}

}  // namespace birkhoff::testing
