#pragma once
// Checks fields against each other, and against what this build can run. Pure; thread-safe.
#include <string>
#include <vector>

#include "engine/config/config.h"

namespace birkhoff {

// What a config is needed for; each use checks everything that the use before it checks.
//   reading    keys agree with each other: enough for a checkpoint's config, whatever its layout
//   planning   this build can run the layout and the device, so that a plan is of a real run
//   training   a run directory and data are named
enum class Use { reading, planning, training };

enum class Severity { error, warning };

struct Finding {
  Severity severity;
  std::vector<std::string> keys;  // of the fields involved; the first is the one to change
  std::string text;               // one line, without the key
};

// Everything that is wrong or odd. Checks ranges first; if one is violated, returns only those.
std::vector<Finding> findings(const Config& config, Use use = Use::reading);

// Throws ConfigError with all errors, one "key: what" per line; returns the warnings in that form.
std::vector<std::string> validate(const Config& config, Use use = Use::reading);

}  // namespace birkhoff
