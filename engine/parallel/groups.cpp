#include "engine/parallel/groups.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {

Range part_of(int64_t count, int64_t parts, int64_t index) {
  check(parts > 0 && index >= 0 && index < parts, "part {} of {}", index, parts);
  return {index * count / parts, (index + 1) * count / parts};
}

TreeNode TreeStack::raised(TreeNode node) const {
  while (node.index % 2 == 0 && node.index > 0 && ((node.index + 1) << node.level) >= leaves_)
    node = {node.level + 1, node.index / 2};
  return node;
}

RangeNodes nodes_of(int64_t leaves, Range range) {
  TreeStack stack(leaves);
  RangeNodes result;
  for (int64_t leaf = range.begin; leaf < range.end; ++leaf) {
    result.most = int(std::max(size_t(result.most), stack.held().size()));
    stack.push({0, leaf}, [](int) {});
  }
  result.nodes = stack.held();
  return result;
}

}  // namespace birkhoff
