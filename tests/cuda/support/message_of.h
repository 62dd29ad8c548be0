#pragma once
#include <functional>
#include <string>

#include "base/error.h"

namespace birkhoff::testing {

// The message of the Error that `failing` throws.
inline std::string message_of(const std::function<void()>& failing) {
  try {
    failing();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace birkhoff::testing
