#pragma once
// Inspects a tokenizer.json of untrusted origin without building a tree of it. Nothing here
// tokenizes: the file is carried along for the tools that do. Thread-safe: no state.
#include <cstdint>
#include <string_view>

namespace birkhoff {

// The number of ids: 1 + the largest id of `model.vocab` and `added_tokens`. Throws JsonError
// unless the text is JSON of at most kMaxTokenizer bytes and 64 levels whose ids are integers from
// 0 to 2^31 - 2. Memory does not grow with the text, except for one string of it.
int64_t tokenizer_vocab(std::string_view text);

}  // namespace birkhoff
