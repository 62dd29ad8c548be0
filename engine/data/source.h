#pragma once
// Opens the source of a run's samples, as its config says.
#include <memory>

#include "engine/data/samples.h"

namespace birkhoff {

struct DataOptions {
  enum class Source { files, random };
  Source source = Source::files;
  Path path = {};                     // prefix of the token dataset
  double validation_fraction = 0.05;  // of the tokens; 0: nothing is held out
  SampleOptions samples = {};
};

struct DataSource {
  std::shared_ptr<const TokenDataset> dataset;  // null for random tokens
  Split split;                                  // empty for random tokens
  std::unique_ptr<Samples> training;
  std::unique_ptr<Samples> validation;  // null if nothing is held out
};

// Throws DataError (exit code 3) where TokenDataset, split_documents and the samples do.
DataSource open_data(const DataOptions& options);

}  // namespace birkhoff
