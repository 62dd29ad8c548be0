#include "engine/data/source.h"

#include <cmath>

#include "base/error.h"

namespace birkhoff {
namespace {

constexpr int64_t kRandomEpoch = 1 << 20;  // samples; used only to count epochs

DataSource open_random(const DataOptions& options) {
  DataSource data;
  data.training = random_samples("train", kRandomEpoch, options.samples);
  const auto held_out = int64_t(std::ceil(options.validation_fraction * 1000));
  if (held_out > 0) data.validation = random_samples("validation", held_out, options.samples);
  return data;
}

// Fails now rather than at the step that meets the first such id.
void check_vocab(const TokenDataset& dataset, int64_t vocab) {
  const auto& manifest = dataset.manifest();
  if (manifest && manifest->tokenizer.vocab > vocab)
    throw DataError(
        fmt::format("{}: its tokenizer '{}' has token ids below {}, but the model has a vocabulary "
                    "of {}; set model.vocab to {}, or prepare the data with the model's tokenizer",
                    printable(dataset.prefix().string()), printable(manifest->tokenizer.name),
                    manifest->tokenizer.vocab, vocab, manifest->tokenizer.vocab));
}

}  // namespace

DataSource open_data(const DataOptions& options) {
  if (options.source == DataOptions::Source::random) return open_random(options);
  DataSource data;
  data.dataset = std::make_shared<const TokenDataset>(options.path);
  check_vocab(*data.dataset, options.samples.vocab);
  data.split = split_documents(*data.dataset, options.validation_fraction, options.samples.seed);
  data.training = training_samples(data.dataset, data.split.train, options.samples);
  if (!data.split.validation.ids.empty())
    data.validation = validation_samples(data.dataset, data.split.validation, options.samples);
  return data;
}

}  // namespace birkhoff
