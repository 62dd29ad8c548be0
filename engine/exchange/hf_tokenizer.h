#pragma once
// What a Hugging Face directory says about its tokenizer: tokenizer.json, which is carried along,
// and the ids in config.json and generation_config.json. Thread-safe: no state.
#include <string>
#include <string_view>

#include "base/directory.h"
#include "engine/checkpoint/tokenizer_identity.h"

namespace birkhoff {

inline constexpr std::string_view kHfGenerationName = "generation_config.json";

// The tokenizer of a model whose config.json has the ids `special`; ids that are null there are
// taken from generation_config.json, if it exists. The name is empty without a tokenizer.json.
// Throws CheckpointError (exit code 4) if one of the files is damaged, too large or a link.
ModelTokenizer read_hf_tokenizer(const Directory& directory, SpecialTokens special);

// Reads the ids in the text of a generation_config.json and ignores other fields. Throws
// CheckpointError that begins with `place`.
SpecialTokens parse_hf_generation(std::string_view text, std::string_view place);
std::string hf_generation_text(const SpecialTokens& special);

// Reads bos_token_id, eos_token_id and pad_token_id of either file. Throws JsonError.
SpecialTokens hf_special_tokens(JsonFields& fields);
void write_hf_special_tokens(const SpecialTokens& special, nlohmann::ordered_json& j);

}  // namespace birkhoff
