#include "engine/exchange/hf_weights.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "engine/checkpoint/checkpoint_error.h"
#include "engine/checkpoint/safetensors.h"
#include "engine/exchange/hf_index.h"

namespace birkhoff {
namespace {

constexpr size_t kStep = size_t(1) << 20;  // elements converted at a time

SafetensorsHeader read_header(const InputFile& file) {
  const std::string place = file.path().string();
  std::vector<std::byte> bytes(std::min<size_t>(8, file.size()));
  file.read(0, bytes);
  bytes.resize(safetensors_header_bytes(bytes, file.size(), place));
  file.read(0, bytes);
  return parse_safetensors(bytes, file.size(), place);
}

template <class T>
void read_as(const InputFile& file, size_t begin, std::span<float> values) {
  std::vector<T> some(std::min(kStep, values.size()));
  for (size_t at = 0; at < values.size(); at += kStep) {
    const size_t n = std::min(kStep, values.size() - at);
    file.read(begin + at * sizeof(T), std::as_writable_bytes(std::span(some).first(n)));
    for (size_t i = 0; i < n; ++i) values[at + i] = to_float(some[i]);
  }
}

}  // namespace

HfWeights::HfWeights(const Directory& directory) {
  as_checkpoint_error([&] {
    const std::vector<std::string> names = directory.names();
    const auto has = [&](std::string_view name) {
      return std::binary_search(names.begin(), names.end(), name);
    };
    const std::string place = printable(directory.path().string());
    if (has(kHfIndexName) && has(kHfWeightsName))
      throw CheckpointError(fmt::format("{} has both {} and {}; remove the one that is out of date",
                                        place, kHfWeightsName, kHfIndexName));
    if (has(kHfWeightsName)) return add(directory, std::string(kHfWeightsName), nullptr);
    if (!has(kHfIndexName))
      throw CheckpointError(
          fmt::format("{} has neither {} nor {}; weights can only be read from safetensors files",
                      place, kHfWeightsName, kHfIndexName));
    const Path index_path = directory.path() / kHfIndexName;
    const auto index =
        parse_hf_index(read_hf_text(directory, kHfIndexName, kMaxHfIndex), index_path.string());
    std::set<std::string> files;
    for (const auto& [name, file] : index) files.insert(file);
    for (const std::string& file : files) add(directory, file, &index);
    for (const auto& [name, file] : index)
      if (!tensors_.contains(name))
        throw CheckpointError(
            fmt::format("{}: tensor {} is not in {}", printable(index_path.string()), name, file));
  });
}

void HfWeights::add(const Directory& directory, const std::string& file,
                    const std::map<std::string, std::string>* index) {
  files_.push_back(directory.open(file));
  const SafetensorsHeader header = read_header(files_.back());
  for (const SafetensorsEntry& entry : header.tensors) {
    if (index) {
      const auto wanted = index->find(entry.name);
      if (wanted == index->end() || wanted->second != file)
        throw CheckpointError(fmt::format(
            "{}: tensor {}: {} lists it {}", printable(files_.back().path().string()), entry.name,
            kHfIndexName, wanted == index->end() ? "nowhere" : "in " + wanted->second));
    }
    tensors_[entry.name] = {entry.spec, files_.size() - 1, entry.begin};
  }
}

void HfWeights::read(const HfTensor& tensor, std::span<float> values, size_t first) const {
  check(first + values.size() <= size_t(tensor.spec.count()), "{} values from {} on of {}",
        values.size(), first, to_string(tensor.spec));
  const InputFile& file = files_[tensor.file];
  const size_t begin = tensor.begin + first * size_of(tensor.spec.dtype);
  as_checkpoint_error([&] {
    if (tensor.spec.dtype == DType::f32)
      file.read(begin, std::as_writable_bytes(values));
    else if (tensor.spec.dtype == DType::bf16)
      read_as<bf16>(file, begin, values);
    else if (tensor.spec.dtype == DType::f16)
      read_as<f16>(file, begin, values);
    else if (tensor.spec.dtype == DType::f8_e4m3)
      read_as<f8_e4m3>(file, begin, values);
    else
      throw InternalError(
          fmt::format("{} is not a supported weight tensor", to_string(tensor.spec)));
  });
}

std::string read_hf_text(const Directory& directory, std::string_view name, size_t limit) {
  return as_checkpoint_error([&] {
    const InputFile file = directory.open(std::string(name));
    if (file.size() > limit)
      throw CheckpointError(fmt::format("{} has {} bytes, more than the {} allowed",
                                        printable(file.path().string()), file.size(), limit));
    std::string text(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(text)));
    return text;
  });
}

}  // namespace birkhoff
