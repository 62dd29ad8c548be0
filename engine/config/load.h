#pragma once
// Turns files and command line into a Config, and a Config into a file. Files are hostile input
// (yaml_tree.h).
#include <span>
#include <string>

#include "base/files.h"
#include "engine/config/config.h"
#include "engine/config/validate.h"

namespace birkhoff {

// A chain of `extends` has at most this many files.
inline constexpr size_t kMaxExtends = 8;

// The config of `path`: defaults, then the file it extends (a path relative to its own directory),
// then its own keys, then `overrides` (key=value; the last one of a key wins). Throws ConfigError
// with all faults, including those of validate(config, use), one per line:
//   file:line:col: path.to.key: what is wrong; did you mean 'x'?
//   command line: path.to.key: what is wrong
Config load_config(const Path& path, std::span<const std::string> overrides = {},
                   Use use = Use::reading);

// The same for a text, named `name` in messages. It must not extend another config.
Config parse_config(std::string_view text, const std::string& name,
                    std::span<const std::string> overrides = {}, Use use = Use::reading);

// Every key, in a fixed order: parse_config(effective_yaml(c)) == c, and the text is the same for
// equal configs.
std::string effective_yaml(const Config& config);

}  // namespace birkhoff
