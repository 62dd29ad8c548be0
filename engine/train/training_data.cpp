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
  // Per document 8 bytes, and 16 in the split, whose vectors may have twice that capacity.
  data.index_bytes = 40 * size_t(dataset->documents());
  data.made_by = dataset->tokenizer();
  data.index_bytes += 3 * data.made_by.json.size();  // the data's, a checkpoint's and the run's
  if (is_byte(*data.made_by.identity)) data.tokenizer = make_tokenizer("byte");
  return data;
}

std::string model_fingerprint(const Config& config) {
  Config copy = config, defaults;
  std::string text;
  // Initialisation, balancing and buffering may change for an existing checkpoint.
  constexpr std::string_view kFree[] = {"model.init_std", "model.alpha_init", "moe.bias_speed",
                                        "moe.buffer_factor"};
  // Keys that were added later appear in the text only if they are used, so that an older model
  // keeps its fingerprint.
  constexpr std::string_view kLater[] = {"model.q_rank",
                                         "model.rope_scaling",
                                         "model.rope_factor",
                                         "model.rope_original_positions",
                                         "model.rope_beta_fast",
                                         "model.rope_beta_slow",
                                         "model.rope_mscale",
                                         "model.rope_mscale_all_dim",
                                         "model.rope_attention_factor",
                                         "model.rope_truncate",
                                         "moe.groups",
                                         "moe.active_groups"};
  const auto is_in = [](auto& keys, std::string_view key) {
    return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
  };
  const std::vector<Field> fields = fields_of(copy), unset = fields_of(defaults);
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string &key = fields[i].key, value = value_text(fields[i]);
    if (!key.starts_with("model.") && !key.starts_with("moe.")) continue;
    if (is_in(kFree, key) || (is_in(kLater, key) && value == value_text(unset[i]))) continue;
    text += fmt::format("{}={}\n", key, value);
  }
  return text;
}

}  // namespace birkhoff
