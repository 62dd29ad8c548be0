#pragma once
// An operator is one constant that holds a shape rule, a cost, implementations and a gradient rule.
// It knows nothing of programs.
//
//   outputs   validates the input specs and the desc (throws InternalError "[name] …" with the
//             values) and returns the output specs. Called once, when the program is traced; bodies
//             rely on it and do not check again.
//   flops     one half of the cost; the other half, unique bytes, follows from the specs unless the
//             operator does not move each input and output once (`bytes`).
//   run       the body of one implementation. The base rule: out[k] = base[k] + f_k(in…), where an
//             absent base counts as 0 and each element of out is set once. `base` is the C of
//             cuBLASLt's D = A·B + C: it may be absent, in other memory, or the same memory as out,
//             but is never an input. This one rule serves fan-out, micro-batches and rounds; no
//             operator is an "add", and nothing is zeroed first.
//   gradient  emits operators. A saved value is an ordinary additional output that the rule reads.
//
// Each device has a short list of implementations; the first that accepts a call runs it.
//
// One operator, one basename: kernels/<op>.h is the contract (formula, shapes, dtypes, enums of
// inputs and outputs, desc), kernels/<op>.cpp the operator's constant and gradient rule, and the
// implementations are in reference/<op>.cpp (plain loops in double: the oracle) and cpu/<op>.cpp
// (fast). A contract includes no file of a backend: kernels/bodies.h declares what it lists.
#include <span>
#include <string_view>
#include <vector>

#include "base/shape.h"
#include "base/thread_team.h"
#include "kernels/desc.h"
#include "kernels/features.h"

namespace birkhoff {

struct Operator;
class Communicator;
using SlotId = int;
inline constexpr SlotId kNone = -1;

enum class Device { cpu, cuda, reference };
inline constexpr int kDevices = 3;
std::string_view name_of(Device device);

using Specs = std::span<const TensorSpec>;

struct Output {
  TensorSpec spec;
  // If ≥ 0, this output is input #view_of under a new name, from byte `offset` on, and has no
  // memory of its own.
  int view_of = kNone;
  size_t offset = 0;
  // Only gradient rules and the host read this output; no gradient flows into it.
  bool saved = false;
  // A private link: exactly one call may read it (see kernels/mhc.h).
  bool private_link = false;
};
using Outputs = std::vector<Output>;

// Scratch memory in bytes for one call, planned ahead so that nothing is allocated in a step.
struct Workspace {
  size_t shared = 0;      // e.g. partial sums; reused by the next call
  size_t per_thread = 0;  // e.g. rows kept in cache
};

struct Context {  // What a body may use besides its arguments. There is one per rank.
  ThreadTeam* team = nullptr;
  std::byte* shared_workspace = nullptr;   // 64-byte aligned
  std::byte* thread_workspaces = nullptr;  // 64-byte aligned, `thread_stride` apart
  size_t thread_stride = 0;
  int round = 0;  // Current round of a rounds node, 0 elsewhere.
  Communicator* communicator = nullptr;
  Features features = host_features();
};

struct Operand {
  const TensorSpec* spec = nullptr;
  const void* data = nullptr;  // Null if absent.
};
struct Result {
  const TensorSpec* spec = nullptr;
  void* data = nullptr;        // Null if nothing reads this output; the body may then skip it.
  const void* base = nullptr;  // Null if absent.
};

struct Args {
  std::span<const Operand> inputs;
  std::span<const Result> outputs;
  const Desc* call_desc;
  Context* context;

  bool has(int i) const { return inputs[i].data != nullptr; }
  bool wanted(int k) const { return outputs[k].data != nullptr; }
  template <class T>
  const T* in(int i) const {
    return static_cast<const T*>(inputs[i].data);
  }
  template <class T>
  T* out(int k) const {
    return static_cast<T*>(outputs[k].data);
  }
  template <class T>
  const T* base(int k) const {
    return static_cast<const T*>(outputs[k].base);
  }
  int64_t dim(int i, int d) const { return inputs[i].spec->shape[d]; }
  int64_t count(int i) const { return inputs[i].spec->count(); }
  template <class D>
  const D& desc() const {
    return call_desc->as<D>();
  }
  ThreadTeam& team() const { return *context->team; }
  template <class T>
  T* shared_workspace() const {
    return reinterpret_cast<T*>(context->shared_workspace);
  }
  template <class T>
  T* thread_workspace(int worker) const {
    return reinterpret_cast<T*>(context->thread_workspaces + worker * context->thread_stride);
  }
};

using Body = void (*)(const Args&);

// One way to run an operator on a device. accepts() and workspace() are plain functions of the
// call, so a plan can be made for a machine that is not there.
struct Implementation {
  std::string_view name;
  // Whether `run` can do this call on this machine; absent: always. REQUIRES outputs() has accepted
  // the specs.
  bool (*accepts)(Specs in, const Desc&, const Features&) = nullptr;
  Workspace (*workspace)(Specs in, const Desc&) = nullptr;  // absent: none. REQUIRES as accepts
  Body run = nullptr;
};
using Implementations = std::span<const Implementation>;

// The list of one implementation that takes every call and needs no scratch.
template <Body kBody>
inline constexpr Implementation kCpuBody[] = {{.name = "cpu", .run = kBody}};
template <Body kBody>
inline constexpr Implementation kReferenceBody[] = {{.name = "reference", .run = kBody}};

// What a program is planned for and run on.
struct Target {
  Device device = Device::cpu;
  Features features = host_features();
};

// What a gradient rule sees: one forward call, and where to put operators.
class Gradient {
 public:
  virtual SlotId in(int i) const = 0;
  virtual SlotId out(int k) const = 0;
  virtual SlotId dy(int k = 0) const = 0;  // Gradient of out(k); kNone if nothing reads out(k).
  virtual const Desc& desc() const = 0;
  // Adds a call of `op`, whose output k contributes to the gradient of of[k] (kNone if the output
  // is not needed). If all of these are parameters, the call goes to the weight-gradient list, else
  // to the input-gradient list. An input may be kNone if the contract of `op` allows it to be
  // absent.
  virtual void emit(const Operator& op, std::vector<SlotId> in, std::vector<SlotId> of,
                    Desc desc = {}) = 0;
  // d itself contributes to the gradient of `of`, usually at no cost.
  virtual void pass(SlotId d, SlotId of) = 0;

 protected:
  ~Gradient() = default;
};

struct Operator {
  std::string_view name;
  Outputs (*outputs)(Specs in, const Desc&);
  double (*flops)(Specs in, const Desc&);
  Implementations implementations[kDevices];  // Indexed by Device, in order of preference.
  void (*gradient)(Gradient&) = nullptr;
  // Unique bytes read and written, if that is not each input and output once.
  double (*bytes)(Specs in, const Desc&) = nullptr;
  // How many rows of its matrices [R, …] a call really reads and writes. For operators on a buffer
  // with spare capacity, whose flops and bytes count all R rows, since that is what is planned for.
  int64_t (*rows)(const Args&) = nullptr;
  // An in-place update (optimizer): every output must have itself as base, and f reads the base.
  bool updates = false;
  bool communicates = false;  // Issued on the device's communication stream.
};

// The first implementation for the target's device that accepts the call; null if there is none.
const Implementation* implementation(const Operator& op, Specs in, const Desc& desc,
                                     const Target& target);

// Scratch of the call on that target; none where no implementation accepts it.
Workspace workspace(const Operator& op, Specs in, const Desc& desc, const Target& target);

// All operators; the tests loop over them. A new operator adds its line in registry.cpp.
std::span<const Operator* const> registry();

// Throws InternalError "[name] message" unless `holds`. For shape rules.
template <class... A>
void require(bool holds, std::string_view name, fmt::format_string<A...> text, A&&... args) {
  if (!holds)
    throw InternalError(fmt::format("[{}] {}", name, fmt::format(text, std::forward<A>(args)...)));
}

}  // namespace birkhoff
