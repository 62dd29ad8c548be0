#pragma once
// Rows of a table by token id.
//
//   embedding            token i32 [T], table [V, C] → y [T, C]            y[t] = table[token[t]]
//   embedding_backward   dy [T, C], token i32 [T]    → dtable [rows, C]    dtable[v] = Σ_{t: token[t]
//                                                                          = v} dy[t], t rising
//
// A token id outside the table throws DataError with its position and value before anything is
// written (the data layer promises the range; this is the last wall before memory). With base ==
// out the backward touches only the rows of its tokens: O(T·C) whatever V is, and that is the cost
// it names.
#include "kernels/operator.h"

namespace birkhoff {

struct Embedding {
  enum In { token, table };
  enum Out { y };
};
extern const Operator kEmbedding;

struct EmbeddingBackward {
  enum In { dy, token };
  enum Out { dtable };
  struct Desc {
    int64_t rows = 0;  // V, > 0
    static void visit(auto& d, auto&& field) { field("rows", d.rows); }
  };
};
extern const Operator kEmbeddingBackward;

}  // namespace birkhoff
