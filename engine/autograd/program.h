#pragma once
// A step is a program: slots, and lists of operator calls over them. Plain data, one per trace.
//
// Every slot is written once (SSA), except accumulators: a call whose base is its own output adds
// to what is there, and the first such write of a step overwrites.
//
// Tracing is appending: a module calls functions on Values (engine/nn/functional.h), which append
// to the program's open list. Nothing is computed. Not thread-safe.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/heartbeat.h"
#include "engine/tensor/parameter.h"
#include "kernels/operator.h"

namespace birkhoff {

enum class Kind {
  parameter,    // kept, shared by name between programs
  state,        // kept, shared by name: optimizer moments, balancing bias, caches
  accumulator,  // starts over with every step, shared by name: gradients, expert load, loss
  input,        // filled by the host for every micro-batch
  constant,     // filled by the host for every step
  output,       // read by the host
  activation,   // lives from its write to its last read
};

struct Slot {
  std::string name;
  TensorSpec spec;
  Kind kind = Kind::activation;
  SlotId view_of = kNone;
  size_t offset = 0;  // byte offset of a view
  bool saved = false, private_link = false;
};

// Where a schedule may cut: consecutive calls of equal phase are issued together.
struct Phase {
  enum class Part { embed, attention, ffn, route, experts, combine, head, update };
  Part part = Part::embed;
  int layer = -1;
  auto operator<=>(const Phase&) const = default;  // NOLINT(modernize-use-nullptr): not a pointer
};
std::string to_string(Phase phase);  // "3.attention", "head"

struct Call {
  const Operator* op;
  std::vector<SlotId> in = {}, out = {};  // in: kNone where absent
  std::vector<SlotId> base = {};          // per output; kNone: absent; == out: accumulates
  Desc desc = {};
  Phase phase = {};
  int segment = kNone;          // recompute segment
  bool keep = false;            // outputs are kept although the segment is recomputed
  int round_zero_of = kNone;    // number of the rounds node whose first round this call is
  std::vector<Call> body = {};  // rounds nodes only
};
using List = std::vector<Call>;

class Program;
struct Value {
  Program* program = nullptr;
  SlotId id = kNone;
  const TensorSpec& spec() const;
  const Shape& shape() const { return spec().shape; }
  Value named(const std::string& name) const;
};

class Program {
 public:
  explicit Program(DType floating = DType::f32, Heartbeat heartbeat = {})
      : dtype(floating), alive(std::move(heartbeat)) {}
  Program(const Program&) = delete;  // Values and schedules point to it
  Program& operator=(const Program&) = delete;

  // Dtype of activations; parameters are wide (kernels/storage.h). f64: on the reference device.
  const DType dtype;
  const Heartbeat alive;  // called for each appended call
  std::vector<Slot> slots;
  List forward, input_gradient, weight_gradient;
  List update;                                 // once per step, after all micro-batches
  std::map<SlotId, SlotId> gradient_of;        // parameter → accumulator
  std::map<SlotId, ParameterSpec> parameters;  // in order of tracing

  Value add(Kind kind, const std::string& name, TensorSpec spec);
  Value parameter(const ParameterSpec& spec);

  struct Options {
    std::vector<Value> base = {};        // per output: out = base + f; a Value without id: absent
    std::vector<Value> accumulate = {};  // per output: an accumulator to add to
  };
  std::vector<Value> emit(const Operator& op, const std::vector<Value>& in, Desc desc,
                          const Options& options);
  std::vector<Value> emit(const Operator& op, const std::vector<Value>& in, Desc desc = {}) {
    return emit(op, in, desc, Options());
  }
  // Creates those outputs of `call` that are kNone, by the shape rule, and appends it to `list`.
  Call& append(List& list, Call call);

  // Scopes: everything traced while the handle lives carries this phase or segment.
  using Scope = std::shared_ptr<void>;
  Scope phase(Phase phase);
  Scope segment(int segment);  // kNone: none

  // y = Σ over r < count of body(): round 0 is traced inline, a rounds node runs 1 … count − 1, if
  // any. The body makes `count`, an i32 [1]. Each round reuses the buffers of the one before, and
  // only y leaves it. The last call of the body must make y, without a base.
  struct Round {
    Value y, count;
  };
  Value rounds(const std::function<Round()>& body);

  SlotId root(SlotId id) const;  // the slot that owns the bytes
  List* open = &forward;         // the list that traced calls are appended to

 private:
  Phase phase_;
  int segment_ = kNone, rounds_ = 0;
};

// The structural operator of calls with a body: y = base + Σ_{r ≥ 1} body_r. Program,
// differentiate, plan and executor recognise it by address; it has no kernels of its own.
extern const Operator kRounds;

std::vector<TensorSpec> input_specs(const Program& program, const Call& call);

// What a list reads from outside and what it writes (views are not resolved to their roots).
struct Surface {
  std::vector<SlotId> reads, writes;
};
Surface surface(const List& list);

// Throws InternalError unless every slot is written once and before it is read, every private link
// has at most one reader in the forward list, and bases match their outputs.
void verify(const Program& program);

}  // namespace birkhoff
