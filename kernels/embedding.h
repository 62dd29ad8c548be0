#pragma once
// Rows of a table by token id.
//
//   embedding            token i32 [T], table [V, C] → y [T, C]            y[t] = table[token[t]]
//   embedding_backward   dy [T, C], token, table     → dtable [V, C]
//                        dtable[v] = Σ_{t: token[t] = v} dy[t], t rising
//
// table and dtable are wide; y and dy are as the table, or bf16 where EmbeddingDesc says so and the
// table is f32 (kernels/storage.h).
//
// Of the table the backward takes its shape only; no element is read. With base == out it touches
// the rows of its tokens alone: O(T·C) whatever V is, and that is the cost it names.
//
// Throws DataError with position and id for a token id outside the table, before anything is
// written: the data layer promises the range, and this is the last wall before memory.
#include "kernels/operator.h"

namespace birkhoff {

struct EmbeddingDesc {
  bool bf16 = false;  // y of an f32 table is bf16
  static void visit(auto& d, auto&& field) {
    if (d.bf16) field("bf16", true);
  }
};

struct Embedding {
  enum In { token, table };
  enum Out { y };
  using Desc = EmbeddingDesc;
};
extern const Operator kEmbedding;

struct EmbeddingBackward {
  enum In { dy, token, table };
  enum Out { dtable };
};
extern const Operator kEmbeddingBackward;

}  // namespace birkhoff
