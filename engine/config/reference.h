#pragma once
// Documentation made from the list of fields. Pure; thread-safe.
#include <string>

namespace birkhoff {

// Plain text for --help: every key with what it expects, its default and its meaning.
std::string help_text();

// docs/config.md.
std::string markdown_reference();

}  // namespace birkhoff
