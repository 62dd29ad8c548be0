#pragma once
// Parses a strict subset of YAML into a tree that remembers positions. Input is hostile: whatever
// is not a plain tree of maps, lists and one-line scalars is refused, with its position. No
// anchors, aliases, tags, merge keys, directives, second document, block scalars, scalars over
// several lines; at most 1 MiB, 64 levels, 10,000 values and 40,000 brackets and commas; UTF-8
// without control characters. Pure; thread-safe.
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

inline constexpr size_t kYamlMaxBytes = size_t{1} << 20;
inline constexpr int kYamlMaxDepth = 64;
inline constexpr size_t kYamlMaxNodes = 10'000;
// Limits brackets, braces and commas, including those in texts and comments. yaml-cpp keeps about
// 240 bytes for each until the outermost bracket ends: without a limit a file of 1 MiB took 241
// MiB.
inline constexpr size_t kYamlMaxSigns = 4 * kYamlMaxNodes;

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  bool quoted = false;  // a scalar in quotes: text, never a number
  int line = 1, column = 1;
  std::string text;                // scalar: its text, unescaped
  std::vector<YamlNode> children;  // of a list or map; a map's keys are unique, in source order

  // Only in a map: the key and its position.
  std::string key;
  int key_line = 1, key_column = 1;
};

struct YamlFault {
  int line, column;  // from 1; the column counts bytes
  std::string path;  // of the key, dotted; empty if no key is at fault
  std::string text;
};

struct YamlDocument {
  YamlNode root;  // null for an empty text; after a fault that ends reading, what was read before
  std::vector<YamlFault> faults;
  bool whole = true;  // false: a fault ended reading, and what follows it is not in the tree
};

YamlDocument parse_yaml(std::string_view text);

// Why `text` must not be in a config (control characters, not UTF-8), else empty.
std::string text_fault(std::string_view text);

}  // namespace birkhoff
