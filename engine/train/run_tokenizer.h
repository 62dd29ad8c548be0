#pragma once
// Determines which tokenizer a model's ids belong to, by its checkpoint and by the data that it is
// trained on, and what follows for text. Thread-safe: no state.
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/config.h"

namespace birkhoff {

// What a run records in its checkpoints: the tokenizer of `data`, or that of `model`, which the run
// starts from, if the data does not say. If the two do not differ, the model's tokenizer.json stays
// if the data has none, its eos ids stay if they include the data's end-of-document id, and its bos
// and pad ids stay in that case or if its tokenizer is known.
ModelTokenizer run_tokenizer(const ModelTokenizer& model, const ModelTokenizer& data);

// Empty, or how the data's tokenizer differs from the model's, in words that follow a checkpoint's
// path.
std::string tokenizer_change(const CheckpointInfo& model, const ModelTokenizer& data);

// Returns if the model's text is bytes. Otherwise throws ConfigError that names the tokenizer and
// `instead`, what the caller offers for ids. The result is empty, or a warning that nothing names
// the tokenizer and bytes are assumed: for checkpoints of format version 1 and vocabularies of 257.
[[nodiscard]] std::string require_byte_tokenizer(const Checkpoint& checkpoint, const Config& config,
                                                 std::string_view instead);

}  // namespace birkhoff
