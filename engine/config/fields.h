#pragma once
// The single list of all config fields. A new key needs a member in config.h, a line in fields.cpp,
// and docs/config.md generated anew (its test says how).
#include <string_view>
#include <vector>

#include "engine/config/config.h"
#include "engine/config/field.h"

namespace birkhoff {

struct Section {
  std::string_view name;  // "" for the top level
  std::string_view help;
};

// All sections, in the order of the effective dump.
std::span<const Section> config_sections();

// Every field, section by section, pointing into `config`.
std::vector<Field> fields_of(Config& config);

}  // namespace birkhoff
