#pragma once
// What fields must be to each other, and what this build can run. Pure; thread-safe.
#include <string>
#include <vector>

#include "engine/config/config.h"

namespace birkhoff {

// What a config is wanted for; each use asks all that the one before it asks.
//   reading    keys agree with each other: what a checkpoint holds, whatever layout it came from
//   planning   layout and device are ones that this build can run, so that a plan is of a real run
//   training   a run directory and data are named
enum class Use { reading, planning, training };

enum class Severity { error, warning };

struct Finding {
  Severity severity;
  std::vector<std::string> keys;  // of the fields involved; the first is the one to change
  std::string text;               // one line, without the key
};

// Everything that is wrong or odd. Ranges first; where one is violated, only those are told.
std::vector<Finding> findings(const Config& config, Use use = Use::reading);

// Throws ConfigError with all errors, one "key: what" a line; returns the warnings in that form.
std::vector<std::string> validate(const Config& config, Use use = Use::reading);

}  // namespace birkhoff
