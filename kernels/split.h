#pragma once
// Split cuts rows in two, concat joins them; each is the gradient of the other.
//
//   split:   x [T, first + second] → a [T, first], b [T, second]
//   concat:  a [T, first], b [T, second] → x [T, first + second]
//
// All tensors are of one storage type (kernels/storage.h). One input of concat, but not both, may
// be absent and counts as zeros; this happens in the gradient of a split if only one part was used.
// That is why the desc holds both widths.
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
inline constexpr int64_t kSplitTokens = 32;  // Tokens per task.

}  // namespace birkhoff
