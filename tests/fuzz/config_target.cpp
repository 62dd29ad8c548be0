#include <algorithm>
#include <set>

#include "base/error.h"
#include "engine/config/load.h"
#include "engine/config/yaml_tree.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

struct Tree {
  int lines = 1;
  size_t nodes = 0;

  void require_sound(const YamlNode& node, int depth) {
    ++nodes;
    require(depth <= kYamlMaxDepth && nodes <= kYamlMaxNodes, "depth {}, {} nodes", depth, nodes);
    require(node.line >= 1 && node.line <= lines && node.column >= 1, "a node at {}:{}", node.line,
            node.column);
    std::set<std::string_view> keys;
    for (const YamlNode& child : node.children) {
      require(node.kind == YamlNode::Kind::list || keys.insert(child.key).second, "a key twice");
      require_sound(child, depth + 1);
    }
  }
};

}  // namespace

bool config(std::string_view bytes) {
  const size_t end = std::min(bytes.find('\xFF'), bytes.size());
  const std::string_view text = bytes.substr(0, end);
  std::vector<std::string> overrides;
  for (size_t at = end; at < bytes.size();) {
    const size_t next = std::min(bytes.find('\xFF', at + 1), bytes.size());
    overrides.emplace_back(bytes.substr(at + 1, next - at - 1));
    at = next;
  }
  const YamlDocument document = parse_yaml(text);
  Tree tree{.lines = int(std::count(text.begin(), text.end(), '\n')) + 2};
  tree.require_sound(document.root, 0);

  Config parsed;
  const auto accepted = [&](Use use) {
    return accepts<ConfigError>([&] { parsed = parse_config(text, "F", overrides, use); }, 101);
  };
  const bool training = accepted(Use::training), planning = accepted(Use::planning);
  require(planning || !training, "fit to train with, but not to plan with");
  if (!accepted(Use::reading)) {
    require(!planning, "fit to plan with, but not to read");
    return false;
  }
  require(document.faults.empty(), "accepted with {} faults", document.faults.size());
  const std::string effective = effective_yaml(parsed);
  const Config again = parse_config(effective, "effective");
  require(again == parsed, "another config is read from what is written:\n{}", effective);
  require(effective_yaml(again) == effective, "written twice, it differs:\n{}", effective);
  return true;
}

}  // namespace birkhoff::fuzz
