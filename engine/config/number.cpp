#include "engine/config/number.h"

#include <charconv>
#include <cmath>
#include <cstdint>

namespace birkhoff {
namespace {

size_t digits(std::string_view text, size_t from) {
  size_t n = 0;
  while (from + n < text.size() && text[from + n] >= '0' && text[from + n] <= '9') ++n;
  return n;
}

// Removes a +, which from_chars does not read; a - stays. Sets `start` to where the digits begin.
std::string_view without_plus(std::string_view text, size_t& start) {
  start = text.starts_with('-') ? 1 : 0;
  return text.starts_with('+') ? text.substr(1) : text;
}

// Whether [0-9]* [. [0-9]*] [e [+-] [0-9]+] with a digit before the e is all of text from `at`.
bool is_real(std::string_view text, size_t at) {
  const size_t whole = digits(text, at);
  at += whole;
  size_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    fraction = digits(text, at + 1);
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t exponent = digits(text, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == text.size();
}

}  // namespace

template <class T>
NumberFault read_integer(std::string_view text, T& out) {
  size_t start = 0;
  const std::string_view number = without_plus(text, start);
  const size_t n = digits(number, start);
  if (n == 0 || start + n != number.size()) return NumberFault::form;
  if (n > 1 && number[start] == '0') return NumberFault::leading_zero;
  T value{};
  const auto result = std::from_chars(number.data(), number.data() + number.size(), value);
  if (result.ec != std::errc{}) return NumberFault::range;
  out = value;
  return NumberFault::none;
}

template NumberFault read_integer(std::string_view, int64_t&);
template NumberFault read_integer(std::string_view, uint64_t&);

NumberFault read_real(std::string_view text, double& out) {
  size_t start = 0;
  const std::string_view number = without_plus(text, start);
  const std::string_view magnitude = number.substr(start);
  for (const std::string_view word : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})
    if (magnitude == word) return NumberFault::not_finite;
  if (!is_real(number, start)) return NumberFault::form;
  double value = 0;
  const auto result = std::from_chars(number.data(), number.data() + number.size(), value);
  if (result.ec != std::errc{} || !std::isfinite(value)) return NumberFault::not_finite;
  out = value;
  return NumberFault::none;
}

}  // namespace birkhoff
