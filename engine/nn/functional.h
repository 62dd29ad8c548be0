#pragma once
// What modules call: one function per operator, the symbolic twin of kernels/<op>.h. Takes and
// returns Values; shapes are those of the operator's contract. With a `base`, out = base + f.
#include "engine/autograd/program.h"
#include "kernels/rope.h"

namespace birkhoff::nn {

Value embedding(Value token, Value table);
Value linear(Value x, Value w, Value base = {});
Value router_logits(Value x, Value w);  // f32 throughout, whatever x is stored in
Value head_logits(Value x, Value w);    // like linear, but not rounded
Value rms_norm(Value x, Value gain, double eps);
Value add(Value x, Value f);  // x + f
Value swiglu(Value gate_up, Value offsets = {});
Value rope(Value x, Value position, const Rope::Desc& desc);
std::pair<Value, Value> split(Value x, int64_t first);

struct KeysValues {
  Value k, v;
};
KeysValues mla_keys(Value kv, Value k_rope, int64_t heads, int64_t nope);

struct Attention {
  int64_t heads, sequence;
  double scale;
};
Value attention(Value q, KeysValues kv, Value first_key, const Attention& a);

// Sampling: k and v are written to the caches (state slots, [S, …]) from row `length` on; every
// token attends to the cache up to itself.
struct Cache {
  Value k, v, length;
};
Value attention_cached(Value q, KeysValues kv, const Cache& cache, const Attention& a);

struct Routed {
  Value weight, expert, score;
};
struct Routing {
  int64_t active;
  double scaling;
  bool normalise;
  int64_t groups, active_groups;
};
// `load`: accumulates the number of tokens per expert. Rows with a negative position are padding.
Routed route(Value logits, Value bias, Value position, Value load, const Routing& r);

struct Layout {
  Value offsets, source, row, rounds;
};
Layout route_layout(Value expert, int64_t experts, int64_t capacity);
Value dispatch(Value x, const Layout& l);
Value grouped_linear(Value x, const Layout& l, Value w);
Value combine(Value buffer, Value weight, const Layout& l);

// The nll of each token.
Value cross_entropy(Value h, Value head, Value target);
// Σ over tokens of scale·value, added to the accumulator `loss`.
Value weighted_sum(Value value, Value scale, Value loss);
// Σ over tokens of scale·nll, added to the accumulator `loss`, which must be what the program is
// differentiated by; the same call makes the gradients of h and head. Returns the nll of each
// token.
Value cross_entropy_loss(Value h, Value head, Value target, Value scale, Value loss);

// Statistics of a sublayer's residual streams, summed over the rows with position ≥ 0 if `when` is
// not 0. Returns a new accumulator, `name`.
struct Statistics {
  Value when, position;
};
Value stream_statistics(Value x, Value res, const Statistics& s, const std::string& name);

}  // namespace birkhoff::nn
