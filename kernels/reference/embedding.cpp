#include "kernels/embedding.h"

#include "kernels/reference/tensor.h"

namespace birkhoff::reference {

void embedding(const Args& a) {
  const Input token(a, Embedding::token), table(a, Embedding::table);
  const Output y(a, Embedding::y);
  const int64_t tokens = a.dim(Embedding::token, 0), width = a.dim(Embedding::table, 1);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < width; ++c) y.set(t * width + c, table[int64_t(token[t]) * width + c]);
}

void embedding_backward(const Args& a) {
  using B = EmbeddingBackward;
  const Input dy(a, B::dy), token(a, B::token);
  const Output dtable(a, B::dtable);
  const int64_t tokens = a.dim(B::token, 0), width = a.dim(B::table, 1), rows = a.dim(B::table, 0);
  std::vector<double> sum(size_t(rows * width));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < width; ++c)
      sum[size_t(int64_t(token[t]) * width + c)] += dy[t * width + c];
  for (int64_t i = 0; i < rows * width; ++i) dtable.set(i, sum[size_t(i)]);
}

}  // namespace birkhoff::reference
