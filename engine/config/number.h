#pragma once
// Numbers as configs write them. Integers are decimal: no octal, hexadecimal, sexagesimal,
// underscores or exponents, and no leading zero that another reader would take for octal. Floats
// are those of YAML 1.2's core schema that a double holds: finite, not underflowing. A leading + is
// allowed. Pure.
#include <string_view>

namespace birkhoff {

enum class NumberFault {
  none,
  form,          // not a number of that kind
  leading_zero,  // an integer with a leading zero
  range,         // an integer that T cannot hold
  not_finite,    // a float that is .inf or .nan, or that a double cannot hold
};

// T is int64_t or uint64_t. `out` is set only if there is no fault.
template <class T>
NumberFault read_integer(std::string_view text, T& out);

NumberFault read_real(std::string_view text, double& out);

}  // namespace birkhoff
