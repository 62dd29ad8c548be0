#include "kernels/attention.h"

#include "kernels/bodies.h"
#include "kernels/format.h"
#include "kernels/storage.h"

namespace birkhoff {
namespace {

void check_inputs(std::string_view name, const TensorSpec& q, const TensorSpec& k,
                  const TensorSpec& v, const TensorSpec& first_key, const Attention::Desc& d) {
  require(q.shape.size() == 2 && v.shape.size() == 2 && is_floating(q.dtype) && k == q &&
              v.dtype == q.dtype && v.shape[0] == q.shape[0] && d.heads > 0 &&
              q.shape[1] % d.heads == 0 && v.shape[1] % d.heads == 0,
          name, "q {}, k {}, v {}, {} heads", q, k, v, d.heads);
  require(d.sequence > 0 && d.sequence <= INT32_MAX && q.shape[0] % d.sequence == 0, name,
          "{} tokens in sequences of {}", q.shape[0], d.sequence);
  require(first_key == TensorSpec{{q.shape[0]}, DType::i32}, name, "{} tokens, first_key {}",
          q.shape[0], first_key);
}

Outputs outputs(Specs in, const Desc& desc) {
  using A = Attention;
  const auto& d = desc.as<A::Desc>();
  check_inputs("attention", in[A::q], in[A::k], in[A::v], in[A::first_key], d);
  const TensorSpec& v = in[A::v];
  return {{.spec = v}, {.spec = {{v.shape[0], d.heads}, wide(v.dtype)}, .saved = true}};
}

Outputs backward_outputs(Specs in, const Desc& desc) {
  using B = AttentionBackward;
  const auto& d = desc.as<B::Desc>();
  check_inputs("attention_backward", in[B::q], in[B::k], in[B::v], in[B::first_key], d);
  const TensorSpec &v = in[B::v], &d_o = in[B::d_o], &o = in[B::o], &lse = in[B::lse];
  require(d_o == v && o == v && lse == TensorSpec{{v.shape[0], d.heads}, wide(v.dtype)},
          "attention_backward", "do {}, o {}, lse {}, v {}", d_o, o, lse, v);
  return {{.spec = in[B::q]}, {.spec = in[B::k]}, {.spec = v}};
}

// Pairs (query, key) of all heads, each sequence causal from its start.
double pairs(const TensorSpec& q, const Attention::Desc& d) {
  return 0.5 * double(d.sequence + 1) * double(q.shape[0]) * double(d.heads);
}

double flops(Specs in, const Desc& desc) {
  const auto& d = desc.as<Attention::Desc>();
  const TensorSpec &q = in[Attention::q], &v = in[Attention::v];
  return 2 * pairs(q, d) * double(q.shape[1] + v.shape[1]) / double(d.heads);
}

// Five products where the forward has two: the scores again, dq and dk with the width of q, and dp
// and dv with the width of v.
double backward_flops(Specs in, const Desc& desc) {
  const auto& d = desc.as<Attention::Desc>();
  const TensorSpec &q = in[AttentionBackward::q], &v = in[AttentionBackward::v];
  return 2 * pairs(q, d) * double(3 * q.shape[1] + 2 * v.shape[1]) / double(d.heads);
}

void gradient(Gradient& g) {
  using A = Attention;
  g.emit(kAttentionBackward,
         {g.dy(A::o), g.in(A::q), g.in(A::k), g.in(A::v), g.out(A::o), g.out(A::lse),
          g.in(A::first_key)},
         {g.in(A::q), g.in(A::k), g.in(A::v)}, g.desc());
}

}  // namespace

constinit const Operator kAttention{
    .name = "attention",
    .outputs = outputs,
    .flops = flops,
    .implementations = {cpu::attention, {}, kReferenceBody<reference::attention>},
    .gradient = gradient,
};

constinit const Operator kAttentionBackward{
    .name = "attention_backward",
    .outputs = backward_outputs,
    .flops = backward_flops,
    .implementations = {cpu::attention_backward, {}, kReferenceBody<reference::attention_backward>},
};

}  // namespace birkhoff
