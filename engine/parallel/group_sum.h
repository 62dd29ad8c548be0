#pragma once
// Sums a step's groups of micro-batches over all ranks of a data-parallel group: gradients, loss,
// expert load.
//
//   GroupSum sum(tensors, groups, ranks, team);
//   for (g : sum.own()) { …fill the tensors with the sum of group g…; sum.close_group(); }
//   sum.finish();       // the tensors hold the sum of all groups; the same bits on every rank
//
// The order of additions is that of engine/parallel/groups.h, whatever the number of ranks. Memory
// beyond the tensors: a copy of them for each node of the tree that is held while a further group
// is computed, and exchange buckets of at most kBucketBytes; neither is needed with one group and
// one rank. The constructor allocates all of it. Collective: all ranks make the same calls. Throws
// what the communicator throws.
#include <array>
#include <cstddef>
#include <vector>

#include "base/buffer.h"
#include "base/thread_team.h"
#include "comm/communicator.h"
#include "engine/parallel/groups.h"

namespace birkhoff {

class GroupSum {
 public:
  struct Tensor {
    DType dtype = DType::f32;  // f32, f64, i32 or i64
    int64_t count = 0;
    std::byte* data = nullptr;
  };

  // REQUIRES groups a multiple of the number of ranks; ranks and team outlive the object.
  GroupSum(std::vector<Tensor> tensors, int64_t groups, Communicator& ranks, ThreadTeam& team);

  Range own() const { return own_; }  // this rank's groups
  void close_group();
  void finish();

  static constexpr size_t kBucketBytes = size_t(4) << 20;
  // What the constructor allocates on a rank.
  static size_t bytes(const std::vector<Tensor>& tensors, int64_t groups, int rank, int ranks);

 private:
  struct Sizes {
    size_t copy = 0, copies = 0;  // bytes of one copy, and number of copies
    size_t send = 0, receive = 0;
  };
  static Sizes sizes_of(const std::vector<Tensor>& tensors, int64_t groups, int rank, int ranks);
  // Elements [begin, begin + count) of all tensors of a dtype, concatenated.
  struct Bucket {
    DType dtype;
    int64_t begin, count;
    // Elements of a rank's slice; the last one may be shorter.
    int64_t slice(int ranks) const { return (count + ranks - 1) / ranks; }
  };
  template <class Visit>  // visit(tensor, first element in it, position in the bucket, count)
  void walk(const Bucket& bucket, Visit visit) const;
  const std::byte* node_data(size_t node, size_t tensor) const;
  void add(std::byte* to, const std::byte* left, DType dtype, int64_t count);
  void exchange(const Bucket& bucket);
  void pack(const Bucket& bucket);
  std::byte* combine(const Bucket& bucket);  // returns the slice's sum

  std::vector<Tensor> tensors_;
  std::vector<size_t> offsets_;  // offset of each tensor in a copy
  int64_t groups_;
  Communicator& ranks_;
  ThreadTeam& team_;
  Range own_;
  int64_t next_;
  TreeStack stack_;
  std::vector<std::vector<TreeNode>> nodes_;  // held by each rank at the end
  std::vector<Buffer> copies_;                // held nodes; at the end, the newest is in tensors_
  Buffer send_, receive_;
};

}  // namespace birkhoff
