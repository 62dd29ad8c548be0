#pragma once
// Where an imported model comes from: a Hugging Face directory, or a checkpoint of our own.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "engine/checkpoint/tokenizer_identity.h"
#include "engine/config/config.h"
#include "engine/train/model_tensors.h"

namespace birkhoff {

class ImportSource {
 public:
  virtual ~ImportSource() = default;

  // What the model computes and, for a checkpoint of our own, how it was trained.
  const Config& config() const { return config_; }
  const Path& path() const { return path_; }
  const ModelTokenizer& tokenizer() const { return tokenizer_; }

  // Names of the model's tensors, moments left out; ascending.
  virtual std::vector<std::string> names() const = 0;
  virtual TensorSpec spec(const std::string& name) const = 0;
  // What is wrong with tensors outside names(), or with how those in names() are stored: a text
  // each.
  virtual std::vector<std::string> faults() const { return {}; }
  // Which tensors are left out because nothing depends on them, as one line; "" if none are.
  virtual std::string passed_over() const { return ""; }
  // The values of a tensor of names(), in the layout of the kernels here. Throws CheckpointError.
  virtual void read(const ModelTensor& tensor, std::span<float> values) const = 0;

 protected:
  ImportSource(Path path, Config config, ModelTokenizer tokenizer)
      : path_(std::move(path)), config_(std::move(config)), tokenizer_(std::move(tokenizer)) {}

 private:
  Path path_;
  Config config_;
  ModelTokenizer tokenizer_;
};

// Opens a directory with config.json, a checkpoint, or a run directory, whose newest checkpoint is
// taken. Reads only headers. Throws CheckpointError (exit code 4) for what is damaged, ConfigError
// (2) for what is not supported.
std::unique_ptr<ImportSource> open_import_source(const Path& path);

// Checks that the tensors are exactly those of the source's config, with their shapes. Throws
// CheckpointError with one line that names the first three that are missing, misshapen, superfluous
// or in the source's faults().
void check_tensors(const ImportSource& source);

}  // namespace birkhoff
