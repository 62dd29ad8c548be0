#pragma once
// Split cuts rows in two, concat joins them: each is the gradient of the other.
//
//   split:   x [T, first + second] → a [T, first], b [T, second]
//   concat:  a [T, first], b [T, second] → x [T, first + second]
//
// All of one storage type (kernels/storage.h).
// An input of concat (not both) may be absent and counts as zeros: so is the gradient of a split of
// which only one part was used. Hence both widths are in the desc.
#include "kernels/operator.h"

namespace birkhoff {

struct Split {
  enum In { x };
  enum Out { a, b };
  struct Desc {
    int64_t first = 0, second = 0;
    static void visit(auto& d, auto&& field) { field("first", d.first), field("second", d.second); }
  };
};
extern const Operator kSplit;

struct Concat {
  enum In { a, b };
  enum Out { x };
  using Desc = Split::Desc;
};
extern const Operator kConcat;
inline constexpr int64_t kSplitTokens = 32;  // a task

}  // namespace birkhoff
