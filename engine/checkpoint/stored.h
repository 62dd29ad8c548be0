#pragma once
// The lists of files and tensors, in the form that a manifest and a rank's index share, and the
// hash that both end with. Untrusted: errors are JsonError. Thread-safe: no state.
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/json.h"
#include "engine/checkpoint/manifest.h"

namespace birkhoff {

std::string hash_of(std::string_view text);
bool is_hash(std::string_view text);  // 32 lower-case hexadecimal digits

// `"files": […], "tensors": […]` with line breaks.
std::string stored_text(const std::vector<ShardFile>& files,
                        const std::vector<StoredTensor>& tensors);

// These check types, grammar of names and bounds of numbers; manifest_fault checks the rest.
std::vector<ShardFile> parse_files(JsonFields& top);
std::vector<StoredTensor> parse_tensors(JsonFields& top);

// Appends to `text` its own hash, in one form: "<key>": "<32 digits>", a brace, a newline.
std::string with_hash(const std::string& text, std::string_view key);
// Returns the hash if the text ends with it in that form and matches it: no byte can change unseen.
std::string check_hash(std::string_view text, std::string_view key);

}  // namespace birkhoff
