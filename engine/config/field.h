#pragma once
// One field of a Config: its name, the values it accepts, and where it is stored. Reading from a
// YAML node or command line, range checks, printing and documentation are derived from it. A Field
// points into the Config it was made for and must not outlive it.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/config/choices.h"
#include "engine/config/yaml_tree.h"

namespace birkhoff {

struct Flag {
  bool* at;
};
struct Unsigned {  // any 64-bit value
  uint64_t* at;
};
struct Word {  // a word that stands for a number
  std::string_view name;
  int64_t value;
};
struct Integer {
  int64_t* at;
  int64_t min, max;
  std::vector<Word> words = {};  // accepted beside min … max
};
enum class Bounds { closed, above_min };  // above_min: min itself is out of range
struct Real {
  double* at;
  double min, max;
  Bounds bounds = Bounds::closed;
};
struct Reals {  // each element in range, at most 64 of them
  std::vector<double>* at;
  double min, max;
  Bounds bounds = Bounds::closed;
};
struct Text {  // UTF-8 without control characters, at most 4096 bytes
  std::string* at;
};
struct Allowed {  // true, false or a list of keys; "a.b,c.d" is a list too
  AllowedChanges* at;
};
struct OneOf {
  std::span<const std::string_view> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

template <class E>
OneOf one_of(E& at) {
  return {Choices<E>::names, [&at] { return static_cast<size_t>(at); },
          [&at](size_t i) { at = static_cast<E>(i); }};
}

struct Field {
  using Target = std::variant<Flag, Unsigned, Integer, Real, Reals, Text, Allowed, OneOf>;

  std::string key;  // section.name, or name at the top level
  Target target;
  std::string_view unit;  // "" for none
  std::string_view help;
  std::vector<std::string_view> also;  // names in other programs; for suggestions only

  std::string_view section() const;  // "" at the top level
  std::string_view leaf() const;
};

// Sets the field, or returns in one line why `node` does not fit and leaves the field as it was.
std::optional<std::string> assign(const Field& field, const YamlNode& node);

// Why the field's value is out of range, if it is.
std::optional<std::string> range_fault(const Field& field);

// The field's value, as YAML that assign() reads back to the same bits.
std::string value_text(const Field& field);

// What the field expects: "an integer from 1 to 64", "plain, hc or mhc".
std::string expects(const Field& field);

}  // namespace birkhoff
