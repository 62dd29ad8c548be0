#pragma once
// Rows of a table by token id.
//
//   embedding            token i32 [T], table [V, C] → y [T, C]            y[t] = table[token[t]]
//   embedding_backward   dy [T, C], token, table     → dtable [V, C]
//                        dtable[v] = Σ_{t: token[t] = v} dy[t], t rising
//
// Of the table the backward takes its shape only; no element is read. With base == out it touches
// the rows of its tokens alone: O(T·C) whatever V is, and that is the cost it names.
//
// Throws DataError with position and id for a token id outside the table, before anything is
// written: the data layer promises the range, and this is the last wall before memory.
#include "kernels/operator.h"

namespace birkhoff {

struct Embedding {
  enum In { token, table };
  enum Out { y };
};
extern const Operator kEmbedding;

struct EmbeddingBackward {
  enum In { dy, token, table };
  enum Out { dtable };
};
extern const Operator kEmbeddingBackward;

}  // namespace birkhoff
