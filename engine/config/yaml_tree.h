#pragma once
// A strict subset of YAML as a tree that remembers places. Input is hostile: what is not a plain
// tree of maps, lists and one-line scalars is refused, with its place. No anchors, aliases, tags,
// merge keys, directives, second document, block scalars, scalars over several lines; at most
// 1 MiB, 64 levels, 10,000 values and 40,000 brackets and commas; UTF-8 without control characters.
// Pure; thread-safe.
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

inline constexpr size_t kYamlMaxBytes = size_t{1} << 20;
inline constexpr int kYamlMaxDepth = 64;
inline constexpr size_t kYamlMaxNodes = 10'000;
// Brackets, braces and commas, those of texts and comments too. yaml-cpp keeps about 240 bytes for
// each until the outermost bracket ends: without a limit a file of 1 MiB took 241 MiB.
inline constexpr size_t kYamlMaxSigns = 4 * kYamlMaxNodes;

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  bool quoted = false;  // a scalar in quotes: text, never a number
  int line = 1, column = 1;
  std::string text;                // of a scalar, unescaped
  std::vector<YamlNode> children;  // of a list; of a map, unique keys in the order of the text

  // In a map: the key, and where it stands.
  std::string key;
  int key_line = 1, key_column = 1;
};

struct YamlFault {
  int line, column;  // from 1; the column counts bytes
  std::string path;  // of the key, dotted; empty where none is at fault
  std::string text;
};

struct YamlDocument {
  YamlNode root;  // null for an empty text; what was read before a fault that ends reading
  std::vector<YamlFault> faults;
  bool whole = true;  // false: a fault ended reading, and what stands behind it is not in the tree
};

YamlDocument parse_yaml(std::string_view text);

// Why `text` cannot stand in a config (control characters, not UTF-8), else empty.
std::string text_fault(std::string_view text);

}  // namespace birkhoff
