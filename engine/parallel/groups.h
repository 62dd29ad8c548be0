#pragma once
// How the micro-batches of a step are divided into groups, the groups among ranks, and the tree in
// which their sums are added. All of it is a function of the number of groups alone, so that every
// data-parallel degree that divides it adds the same numbers in the same order
// (train.reduction_groups).
//
//   micro-batches   group g of G has [g·M/G, (g+1)·M/G) of the step's M, added in order
//   ranks           rank r of D has the groups [r·G/D, (r+1)·G/D)
//   tree            over the leaves 0 … G−1; node (level, index) covers the leaves
//                   [index·2^level, (index+1)·2^level) ∩ [0, G) and is the sum of its left and its
//                   right child; a child that covers nothing is left out
//
// Thread-safe: no state.
#include <cstdint>
#include <vector>

namespace birkhoff {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

// The range of part `index` when `count` things are cut into parts whose sizes differ by one at
// most.
Range part_of(int64_t count, int64_t parts, int64_t index);

struct TreeNode {
  int level = 0;
  int64_t index = 0;
  bool operator==(const TreeNode&) const = default;
};

// Sums of leaves that arrive from left to right. Each is added to its left neighbours as far up the
// tree as possible without leaves that are left of the first one or have not arrived. At the end it
// holds at most 2·log2(G) + 1 nodes.
class TreeStack {
 public:
  explicit TreeStack(int64_t leaves) : leaves_(leaves) {}

  // Adds the node that directly follows the last one. Calls add(k) for each addition, in order: the
  // new sum becomes held node k (the last one, which is removed) + itself. Returns the index of the
  // new sum among the held nodes.
  template <class Add>
  int push(TreeNode node, Add add) {
    for (;;) {
      node = raised(node);
      if (held_.empty() || node.index % 2 == 0 ||
          held_.back() != TreeNode{node.level, node.index - 1})
        break;
      held_.pop_back();
      add(int(held_.size()));
      node = {node.level + 1, node.index / 2};
    }
    held_.push_back(node);
    return int(held_.size()) - 1;
  }

  const std::vector<TreeNode>& held() const { return held_; }
  void clear() { held_.clear(); }  // keeps its memory

 private:
  TreeNode raised(TreeNode node) const;  // moves up past parents that have no other child

  int64_t leaves_;
  std::vector<TreeNode> held_;
};

// The nodes that remain of the leaves of a range, and the most that are held while a further leaf
// is computed.
struct RangeNodes {
  std::vector<TreeNode> nodes;
  int most = 0;
};
RangeNodes nodes_of(int64_t leaves, Range range);

}  // namespace birkhoff
