#pragma once
// The samples of a config's run, and what identifies them.
#include <memory>
#include <string>

#include "engine/config/config.h"
#include "engine/data/source.h"
#include "engine/data/tokenizer.h"

namespace birkhoff {

struct TrainingData {
  DataSource source;
  std::unique_ptr<Tokenizer> tokenizer;  // null: not the built-in one
  std::string fingerprint;               // the dataset and how it is cut, as text
  ModelTokenizer made_by;                // the ids' tokenizer; its name is empty if unknown
  // Upper bound of the memory for the documents' positions and copies of the tokenizer.json.
  size_t index_bytes = 0;
};

// Throws DataError (exit code 3) when files are missing, damaged or too short.
TrainingData open_training_data(const Config& config);

// The config keys that define the model's function and tensors, as text: what a checkpoint and a
// config must agree on.
std::string model_fingerprint(const Config& config);

}  // namespace birkhoff
