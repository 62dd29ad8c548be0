#include "engine/autograd/program.h"
#include "kernels/format.h"
#include "kernels/storage.h"

#include <set>
#include <utility>

namespace birkhoff {

const Operator kRounds{
    .name = "rounds", .outputs = nullptr, .flops = nullptr, .implementations = {}};

const TensorSpec& Value::spec() const { return program->slots[size_t(id)].spec; }
Value Value::named(const std::string& name) const {
  program->slots[size_t(id)].name = name;
  return *this;
}

std::string to_string(Phase phase) {
  constexpr std::string_view kNames[] = {"embed",   "attention", "ffn",  "route",
                                         "experts", "combine",   "head", "update"};
  const auto name = kNames[size_t(phase.part)];
  return phase.layer < 0 ? std::string(name) : fmt::format("{}.{}", phase.layer, name);
}

Value Program::add(Kind kind, const std::string& name, TensorSpec spec) {
  slots.push_back({.name = name, .spec = std::move(spec), .kind = kind});
  return {this, SlotId(slots.size()) - 1};
}

Value Program::parameter(const ParameterSpec& spec) {
  const Value v = add(Kind::parameter, spec.name, {spec.shape, wide(dtype)});
  parameters[v.id] = spec;
  return v;
}

Call& Program::append(List& list, Call call) {
  if (alive) alive();
  const auto specs = input_specs(*this, call);
  const auto outputs = call.op->outputs(specs, call.desc);
  call.out.resize(outputs.size(), kNone);
  call.base.resize(outputs.size(), kNone);
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (call.out[k] == kNone) call.out[k] = add(Kind::activation, "", outputs[k].spec).id;
    Slot& slot = slots[size_t(call.out[k])];
    check(slot.spec == outputs[k].spec, "[{}] makes {}, but its output slot is {}", call.op->name,
          outputs[k].spec, slot.spec);
    if (outputs[k].view_of != kNone) {
      slot.view_of = call.in[size_t(outputs[k].view_of)];
      slot.offset = outputs[k].offset;
    }
    slot.saved |= outputs[k].saved, slot.private_link |= outputs[k].private_link;
  }
  list.push_back(std::move(call));
  return list.back();
}

std::vector<Value> Program::emit(const Operator& op, const std::vector<Value>& in, Desc desc,
                                 const Options& options) {
  Call call{.op = &op, .desc = desc, .phase = phase_, .segment = segment_};
  for (const Value v : in) call.in.push_back(v.id);
  for (const Value v : options.base) call.base.push_back(v.id);
  for (const Value v : options.accumulate) {
    call.out.push_back(v.id);
    call.base.push_back(v.id);
  }
  std::vector<Value> out;
  for (const SlotId id : append(*open, std::move(call)).out) out.push_back({this, id});
  return out;
}

Program::Scope Program::phase(Phase phase) {
  return {nullptr, [this, outer = std::exchange(phase_, phase)](void*) { phase_ = outer; }};
}
Program::Scope Program::segment(int segment) {
  return {nullptr, [this, outer = std::exchange(segment_, segment)](void*) { segment_ = outer; }};
}

Value Program::rounds(const std::function<Round()>& body) {
  const int number = rounds_++;
  const size_t begin = open->size();
  const Round zero = body();
  for (size_t i = begin; i < open->size(); ++i) (*open)[i].round_zero_of = number;

  Call node{.op = &kRounds, .phase = phase_, .segment = segment_, .keep = true};
  node.round_zero_of = number;
  List* outer = std::exchange(open, &node.body);
  const Value y = body().y;
  open = outer;
  Call& last = node.body.back();
  check(last.out.size() == 1 && last.out[0] == y.id, "[rounds] the last call must make the result");
  check(last.base[0] == kNone, "[rounds] the result already has a base, which would be lost");
  last.base[0] = y.id;  // accumulates over the rounds
  node.in = {zero.count.id};
  for (const SlotId id : surface(node.body).reads) node.in.push_back(id);
  node.out = {y.id};
  node.base = {zero.y.id};
  open->push_back(std::move(node));
  return y;
}

SlotId Program::root(SlotId id) const {
  while (slots[size_t(id)].view_of != kNone) id = slots[size_t(id)].view_of;
  return id;
}

std::vector<TensorSpec> input_specs(const Program& p, const Call& call) {
  std::vector<TensorSpec> specs;
  for (const SlotId id : call.in)
    specs.push_back(id == kNone ? TensorSpec() : p.slots[size_t(id)].spec);
  return specs;
}

Surface surface(const List& list) {
  std::set<SlotId> written, seen;
  Surface s;
  const auto read = [&](SlotId id) {
    if (id != kNone && !written.count(id) && seen.insert(id).second) s.reads.push_back(id);
  };
  for (const Call& call : list) {
    for (const SlotId id : call.in) read(id);
    for (size_t k = 0; k < call.out.size(); ++k) {
      if (call.base[k] != call.out[k]) read(call.base[k]);
      if (written.insert(call.out[k]).second) s.writes.push_back(call.out[k]);
    }
  }
  return s;
}

}  // namespace birkhoff
