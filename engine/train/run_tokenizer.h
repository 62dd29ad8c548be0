#pragma once
// Which tokenizer a model's ids belong to: as its checkpoint says, as the data says that it is
// trained on, and what follows for text. Thread-safe: no state.
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/config.h"

namespace birkhoff {

// What a run notes in its checkpoints: the tokenizer of `data`, or that of the model that it goes
// on from where the data does not say. The model's bos, eos and pad ids stay while the data's
// end-of-document id is one of its eos ids, and so does its tokenizer.json if the data has none.
ModelTokenizer run_tokenizer(const ModelTokenizer& model, const ModelTokenizer& data);

// Empty, or how the two differ, in words that follow a checkpoint's path: data of another tokenizer
// than the model's.
std::string tokenizer_change(const CheckpointInfo& model, const ModelTokenizer& data);

// Returns if the model's text is bytes. Throws ConfigError otherwise, naming the tokenizer and
// `instead`, what the caller offers for ids. The result is empty, or a warning: nothing names the
// tokenizer and bytes are assumed, for checkpoints of format version 1 and vocabularies of 257.
[[nodiscard]] std::string require_byte_tokenizer(const Checkpoint& checkpoint, const Config& config,
                                                 std::string_view instead);

}  // namespace birkhoff
