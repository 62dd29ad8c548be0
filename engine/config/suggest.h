#pragma once
// Guesses what a misspelt key or word was meant to be. Pure; thread-safe.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/field.h"

namespace birkhoff {

// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours
// that turn a into b. O(|a|·|b|).
int edit_distance(std::string_view a, std::string_view b);

// The nearest word, or empty if none is near.
std::string nearest_word(std::string_view word, std::span<const std::string_view> words);

// The key that `leaf`, found in `section`, most likely means, or empty. Case is ignored, and '-'
// counts as '_'. A key of the same section wins over an equally near one elsewhere, and a name that
// other programs use for a key counts as that key.
std::string nearest_key(std::string_view section, std::string_view leaf,
                        const std::vector<Field>& fields);

// "; did you mean 'x'?", or "" for an empty suggestion.
std::string did_you_mean(std::string_view suggestion);

}  // namespace birkhoff
