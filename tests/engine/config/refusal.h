#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/config/load.h"

namespace birkhoff::testing {

// The message a text is refused with, or "accepted".
inline std::string refusal(std::string_view text, const std::vector<std::string>& overrides = {},
                           Use use = Use::reading) {
  try {
    parse_config(text, "x.yaml", overrides, use);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace birkhoff::testing
