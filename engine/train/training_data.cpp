#include "engine/train/training_data.h"

#include <algorithm>

#include "base/error.h"
#include "engine/config/field.h"
#include "engine/config/fields.h"

namespace birkhoff {
namespace {

DataOptions options_of(const Config& c) {
  return {.source = c.data.source == DataSourceKind::random ? DataOptions::Source::random
                                                            : DataOptions::Source::files,
          .path = c.data.path,
          .validation_fraction = c.data.validation_fraction,
          .samples = {.sequence = c.train.sequence,
                      .vocab = c.model.vocab,
                      .seed = c.seed,
                      .cross_documents = c.data.cross_documents,
                      .predict_across_documents = c.data.predict_across_documents}};
}

}  // namespace

TrainingData open_training_data(const Config& c) {
  TrainingData data{.source = open_data(options_of(c)),
                    .tokenizer = {},
                    .fingerprint = {},
                    .made_by = {.identity = TokenizerIdentity()},
                    .index_bytes = 0};
  const std::string cut = fmt::format(
      "seed={} sequence={} validation_fraction={} cross_documents={} predict_across_documents={}",
      c.seed, c.train.sequence, c.data.validation_fraction, c.data.cross_documents,
      c.data.predict_across_documents);
  const TokenDataset* dataset = data.source.dataset.get();
  if (!dataset) {
    data.fingerprint = "random " + cut;
    return data;
  }
  const auto& manifest = dataset->manifest();
  data.fingerprint =
      fmt::format("tokens={} documents={} bin={} {}", dataset->tokens(), dataset->documents(),
                  manifest ? manifest->bin_hash : "unknown", cut);
  // 8 bytes a document, and its split's 16, of which half may be spare room.
  data.index_bytes = 40 * size_t(dataset->documents());
  data.made_by = dataset->tokenizer();
  data.index_bytes += 3 * data.made_by.json.size();  // the data's, a checkpoint's and the run's
  if (is_byte(*data.made_by.identity)) data.tokenizer = make_tokenizer("byte");
  return data;
}

std::string model_fingerprint(const Config& config) {
  Config copy = config;
  std::string text;
  // How it starts, is balanced and buffered may change with a checkpoint in hand.
  constexpr std::string_view kFree[] = {"model.init_std", "model.alpha_init", "moe.bias_speed",
                                        "moe.buffer_factor"};
  for (const Field& field : fields_of(copy))
    if ((field.key.starts_with("model.") || field.key.starts_with("moe.")) &&
        std::find(std::begin(kFree), std::end(kFree), field.key) == std::end(kFree))
      text += fmt::format("{}={}\n", field.key, value_text(field));
  return text;
}

}  // namespace birkhoff
