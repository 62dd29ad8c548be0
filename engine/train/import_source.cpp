#include "engine/train/import_source.h"

#include <algorithm>
#include <map>

#include "engine/checkpoint/checkpoint.h"
#include "engine/exchange/hf_config.h"
#include "engine/train/hf_source.h"
#include "engine/train/load_model.h"

namespace birkhoff {
namespace {

class OwnSource final : public ImportSource {
 public:
  explicit OwnSource(Checkpoint checkpoint)
      : ImportSource(checkpoint.path(), config_of(checkpoint), checkpoint.tokenizer()),
        checkpoint_(std::move(checkpoint)) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const StoredTensor& t : checkpoint_.manifest().tensors)
      if (!t.name.starts_with("adam_m.") && !t.name.starts_with("adam_v.")) all.push_back(t.name);
    return all;
  }

  TensorSpec spec(const std::string& name) const override { return checkpoint_.find(name)->spec; }

  void read(const ModelTensor& tensor, std::span<float> values) const override {
    checkpoint_.read(tensor.part.name, {tensor.part.shape, DType::f32},
                     std::as_writable_bytes(values));
  }

 private:
  Checkpoint checkpoint_;
};

}  // namespace

std::unique_ptr<ImportSource> open_import_source(const Path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path / kHfConfigName, error))
    return std::make_unique<OwnSource>(open_checkpoint(path));
  return open_hf_source(path);
}

void check_tensors(const ImportSource& source) {
  constexpr size_t kMost = 3;
  const std::vector<std::string> names = source.names();
  // Each missing tensor is named, but the work must not outgrow the file.
  const int64_t least = fewest_tensors(source.config());
  if (least > 1000 + 16 * int64_t(names.size()))
    throw CheckpointError(
        fmt::format("{}: its config describes a model of {} tensors or more, but it has {}",
                    printable(source.path().string()), least, names.size()));
  std::map<std::string, TensorSpec> wanted;
  for (const ModelTensor& t : model_tensors(source.config()))
    wanted[t.part.name] = {t.part.shape, DType::f32};
  std::vector<std::string> faults = source.faults();
  for (const std::string& name : names) {
    const auto found = wanted.find(name);
    if (found == wanted.end())
      faults.push_back(fmt::format("tensor {} does not belong to this model", name));
    else if (source.spec(name) != found->second)
      faults.push_back(fmt::format("tensor {} is {}, but its config needs {}", name,
                                   to_string(source.spec(name)), to_string(found->second)));
    if (found != wanted.end()) wanted.erase(found);
  }
  for (const auto& [name, spec] : wanted)
    faults.push_back(fmt::format("tensor {} {} is missing", name, to_string(spec)));
  if (faults.empty()) return;
  std::string line = printable(source.path().string()) + ": ";
  for (size_t i = 0; i < std::min(kMost, faults.size()); ++i) line += (i ? "; " : "") + faults[i];
  if (faults.size() > kMost) line += fmt::format("; and {} more", faults.size() - kMost);
  throw CheckpointError(line);
}

}  // namespace birkhoff
