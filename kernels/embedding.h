#pragma once
// Looks up rows of a table by token id.
//
//   embedding            token i32 [T], table [V, C] → y [T, C]            y[t] = table[token[t]]
//   embedding_backward   dy [T, C], token, table     → dtable [V, C]
//                        dtable[v] = Σ_{t: token[t] = v} dy[t], t rising
//
// table and dtable are wide; y and dy have the type of the table, or bf16 if EmbeddingDesc says so
// and the table is f32 (kernels/storage.h).
//
// The backward uses only the shape of the table and reads none of its elements. With base == out it
// touches only the rows of its tokens: O(T·C) for any V, which is also the cost it reports.
//
// Throws DataError with position and id for a token id outside the table, before anything is
// written: the data layer guarantees the range, and this is the last check before memory is
// accessed.
#include "kernels/operator.h"

namespace birkhoff {

struct EmbeddingDesc {
  bool bf16 = false;  // Makes y bf16 if the table is f32.
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
