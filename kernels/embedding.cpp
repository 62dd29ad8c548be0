#include "kernels/embedding.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

bool fit(const TensorSpec& token, const TensorSpec& table) {
  return token.shape.size() == 1 && token.dtype == DType::i32 && table.shape.size() == 2 &&
         table.shape[0] > 0 && is_floating(table.dtype) && table.dtype == wide(table.dtype);
}

Outputs outputs(Specs in, const Desc& desc) {
  const TensorSpec &token = in[Embedding::token], &table = in[Embedding::table];
  require(fit(token, table), "embedding", "token {}, table {}", token, table);
  const bool rounded = desc.as<EmbeddingDesc>().bf16 && table.dtype == DType::f32;
  const DType y = rounded ? DType::bf16 : table.dtype;
  return {{.spec = {{token.shape[0], table.shape[1]}, y}}};
}

Outputs backward_outputs(Specs in, const Desc&) {
  using B = EmbeddingBackward;
  const TensorSpec &dy = in[B::dy], &token = in[B::token], &table = in[B::table];
  require(fit(token, table) && dy.shape == Shape{token.shape[0], table.shape[1]} &&
              wide(dy.dtype) == table.dtype,
          "embedding_backward", "dy {}, token {}, table {}", dy, token, table);
  return {{.spec = table}};
}

// T rows of the table are read and T rows of y are written.
double bytes(Specs in, const Desc& desc) {
  const TensorSpec &token = in[Embedding::token], &table = in[Embedding::table];
  const double row = double(table.shape[1]) * double(size_of(table.dtype));
  return double(token.bytes()) + double(token.count()) * row +
         double(outputs(in, desc)[0].spec.bytes());
}

// dy is read; T rows of dtable are read and written.
double backward_bytes(Specs in, const Desc&) {
  using B = EmbeddingBackward;
  const double elements = double(in[B::dy].count());
  return double(in[B::token].bytes()) + double(in[B::dy].bytes()) +
         2 * elements * double(size_of(in[B::table].dtype));
}

void gradient(Gradient& g) {
  g.emit(kEmbeddingBackward, {g.dy(), g.in(Embedding::token), g.in(Embedding::table)},
         {g.in(Embedding::table)});
}

}  // namespace

constinit const Operator kEmbedding{
    .name = "embedding",
    .outputs = outputs,
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<cpu::embedding>, {}, kReferenceBody<reference::embedding>},
    .gradient = gradient,
    .bytes = bytes,
};

constinit const Operator kEmbeddingBackward{
    .name = "embedding_backward",
    .outputs = backward_outputs,
    .flops = [](Specs in, const Desc&) { return double(in[EmbeddingBackward::dy].count()); },
    .implementations = {kCpuBody<cpu::embedding_backward>,
                        {},
                        kReferenceBody<reference::embedding_backward>},
    .bytes = backward_bytes,
};

}  // namespace birkhoff
