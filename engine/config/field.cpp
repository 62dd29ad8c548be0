#include "engine/config/field.h"

#include <algorithm>

#include "base/error.h"
#include "engine/config/number.h"
#include "engine/config/suggest.h"

namespace birkhoff {
namespace {

constexpr size_t kMaxText = 4096, kMaxReals = 64, kMaxKeys = 256;

using Fault = std::optional<std::string>;

std::string found(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::null) return "found nothing";
  if (node.kind == YamlNode::Kind::list) return "found a list";
  if (node.kind == YamlNode::Kind::map) return "found a section";
  return fmt::format("found {}'{}'", node.quoted ? "the quoted text " : "",
                     printable(node.text, 60));
}

Fault mismatch(const Field& field, const YamlNode& node) {
  return fmt::format("expects {}, {}", expects(field), found(node));
}

bool is_word(const YamlNode& node) { return node.kind == YamlNode::Kind::scalar && !node.quoted; }

Fault number_fault(const Field& field, const YamlNode& node, NumberFault fault) {
  switch (fault) {
    case NumberFault::none:
      return {};
    case NumberFault::form:
      return mismatch(field, node);
    case NumberFault::leading_zero:
      return *mismatch(field, node) + " (leading zeros are not allowed)";
    case NumberFault::range:
      return fmt::format("{} is out of range; expects {}", printable(node.text, 60),
                         expects(field));
    case NumberFault::not_finite:
      return *mismatch(field, node) + " (not a finite double)";
  }
  return "no such fault";
}

// "a.b, c.d" → a.b and c.d
std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    std::string_view part = text.substr(at, end - at);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.emplace_back(part);
    at = end + 1;
  }
  return parts;
}

// Sets the value unless it is out of range.
template <class T>
Fault set(const Field& field, T* at, T value) {
  std::swap(*at, value);
  Fault fault = range_fault(field);
  if (fault) std::swap(*at, value);
  return fault;
}

struct Assign {
  const Field& field;
  const YamlNode& node;

  Fault operator()(const Flag& t) const {
    if (!is_word(node) || (node.text != "true" && node.text != "false"))
      return mismatch(field, node);
    *t.at = node.text == "true";
    return {};
  }
  Fault operator()(const Unsigned& t) const {
    if (!is_word(node)) return mismatch(field, node);
    // A negative number is out of range here, not of a wrong form.
    int64_t negative = 0;
    if (read_integer(node.text, negative) == NumberFault::none && negative < 0)
      return number_fault(field, node, NumberFault::range);
    return number_fault(field, node, read_integer(node.text, *t.at));
  }
  Fault operator()(const Integer& t) const {
    if (!is_word(node)) return mismatch(field, node);
    for (const Word& word : t.words) {
      if (node.text != word.name) continue;
      *t.at = word.value;
      return {};
    }
    int64_t value = 0;
    if (const NumberFault fault = read_integer(node.text, value); fault != NumberFault::none)
      return number_fault(field, node, fault);
    // The number that a word stands for is not accepted in its place.
    if (value < t.min || value > t.max) return number_fault(field, node, NumberFault::range);
    *t.at = value;
    return {};
  }
  Fault operator()(const Real& t) const {
    if (!is_word(node)) return mismatch(field, node);
    double value = 0;
    if (const NumberFault fault = read_real(node.text, value); fault != NumberFault::none)
      return number_fault(field, node, fault);
    return set(field, t.at, value);
  }
  Fault operator()(const Reals& t) const {
    if (node.kind != YamlNode::Kind::list) return mismatch(field, node);
    std::vector<double> values;
    for (const YamlNode& item : node.children) {
      double value = 0;
      if (!is_word(item)) return mismatch(field, item);
      if (const NumberFault fault = read_real(item.text, value); fault != NumberFault::none)
        return number_fault(field, item, fault);
      values.push_back(value);
    }
    return set(field, t.at, std::move(values));
  }
  Fault operator()(const Text& t) const {
    if (node.kind != YamlNode::Kind::scalar) return mismatch(field, node);
    return set(field, t.at, node.text);
  }
  Fault operator()(const Allowed& t) const {
    AllowedChanges value;
    if (node.kind == YamlNode::Kind::list) {
      for (const YamlNode& item : node.children) {
        if (item.kind != YamlNode::Kind::scalar) return mismatch(field, item);
        value.keys.push_back(item.text);
      }
    } else if (!is_word(node)) {
      return mismatch(field, node);
    } else if (node.text != "true" && node.text != "false") {
      value.keys = parts_of(node.text);
    }
    value.all = node.text == "true";
    return set(field, t.at, std::move(value));
  }
  Fault operator()(const OneOf& t) const {
    if (!is_word(node)) return mismatch(field, node);
    const auto at = std::find(t.names.begin(), t.names.end(), node.text);
    if (at == t.names.end())
      return *mismatch(field, node) + did_you_mean(nearest_word(node.text, t.names));
    t.set(static_cast<size_t>(at - t.names.begin()));
    return {};
  }
};

std::string range_text(double min, double max, Bounds bounds) {
  return bounds == Bounds::closed ? fmt::format("from {} to {}", min, max)
                                  : fmt::format("above {} and at most {}", min, max);
}

struct Expects {
  std::string operator()(const Flag&) const { return "true or false"; }
  std::string operator()(const Unsigned&) const {
    return fmt::format("an integer from 0 to {}", UINT64_MAX);
  }
  std::string operator()(const Integer& t) const {
    std::string out;
    for (size_t i = 0; i < t.words.size(); ++i)
      out += fmt::format("{}{}", t.words[i].name, i + 1 < t.words.size() ? ", " : " or ");
    return fmt::format("{}an integer from {} to {}", out, t.min, t.max);
  }
  std::string operator()(const Real& t) const {
    return "a number " + range_text(t.min, t.max, t.bounds);
  }
  std::string operator()(const Reals& t) const {
    return "a list of numbers " + range_text(t.min, t.max, t.bounds);
  }
  std::string operator()(const Text&) const { return "text"; }
  std::string operator()(const Allowed&) const {
    return "true, false or a list of keys, as in [optim.lr, data.path]";
  }
  std::string operator()(const OneOf& t) const {
    std::string out;
    for (size_t i = 0; i < t.names.size(); ++i) {
      if (i > 0) out += i + 1 == t.names.size() ? " or " : ", ";
      out += t.names[i];
    }
    return out;
  }
};

struct RangeFault {
  const Field& field;

  Fault number(double value, double min, double max, Bounds bounds) const {
    const bool high_enough = bounds == Bounds::closed ? value >= min : value > min;
    if (high_enough && value <= max) return {};
    return fmt::format("{} is out of range; expects {}", value, expects(field));
  }

  Fault operator()(const Flag&) const { return {}; }
  Fault operator()(const Unsigned&) const { return {}; }
  Fault operator()(const Integer& t) const {
    for (const Word& word : t.words)
      if (*t.at == word.value) return {};
    if (*t.at >= t.min && *t.at <= t.max) return {};
    return fmt::format("{} is out of range; expects {}", *t.at, expects(field));
  }
  Fault operator()(const Real& t) const { return number(*t.at, t.min, t.max, t.bounds); }
  Fault operator()(const Reals& t) const {
    if (t.at->size() > kMaxReals)
      return fmt::format("has {} numbers, but at most {} are allowed", t.at->size(), kMaxReals);
    for (const double value : *t.at)
      if (Fault fault = number(value, t.min, t.max, t.bounds)) return fault;
    return {};
  }
  Fault operator()(const Text& t) const {
    if (t.at->size() > kMaxText)
      return fmt::format("has {} bytes, but at most {} are allowed", t.at->size(), kMaxText);
    if (std::string fault = text_fault(*t.at); !fault.empty()) return fault;
    return {};
  }
  // validate.cpp checks that the keys exist.
  Fault operator()(const Allowed& t) const {
    if (t.at->keys.size() > kMaxKeys)
      return fmt::format("has {} keys, but at most {} are allowed", t.at->keys.size(), kMaxKeys);
    return {};
  }
  Fault operator()(const OneOf& t) const {
    if (t.get() < t.names.size()) return {};
    return "is not one of " + expects(field);
  }
};

struct ValueText {
  std::string operator()(const Flag& t) const { return *t.at ? "true" : "false"; }
  std::string operator()(const Unsigned& t) const { return fmt::format("{}", *t.at); }
  std::string operator()(const Integer& t) const {
    for (const Word& word : t.words)
      if (*t.at == word.value) return std::string(word.name);
    return fmt::format("{}", *t.at);
  }
  std::string operator()(const Real& t) const { return fmt::format("{}", *t.at); }
  std::string operator()(const Reals& t) const {
    return fmt::format("[{}]", fmt::join(*t.at, ", "));
  }
  std::string operator()(const Text& t) const {
    std::string out = "\"";
    for (const char c : *t.at) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out + '"';
  }
  std::string operator()(const Allowed& t) const {
    if (t.at->all || t.at->keys.empty()) return t.at->all ? "true" : "false";
    return fmt::format("[{}]", fmt::join(t.at->keys, ", "));
  }
  std::string operator()(const OneOf& t) const { return std::string(t.names[t.get()]); }
};

}  // namespace

std::string_view Field::section() const {
  const size_t dot = key.find('.');
  return dot == std::string::npos ? std::string_view() : std::string_view(key).substr(0, dot);
}

std::string_view Field::leaf() const {
  const size_t dot = key.find('.');
  return dot == std::string::npos ? std::string_view(key) : std::string_view(key).substr(dot + 1);
}

Fault assign(const Field& field, const YamlNode& node) {
  return std::visit(Assign{field, node}, field.target);
}
Fault range_fault(const Field& field) { return std::visit(RangeFault{field}, field.target); }
std::string value_text(const Field& field) { return std::visit(ValueText{}, field.target); }
std::string expects(const Field& field) { return std::visit(Expects{}, field.target); }

}  // namespace birkhoff
