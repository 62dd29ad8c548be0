#include "engine/autograd/differentiate.h"

#include <algorithm>

#include "kernels/identity.h"

namespace birkhoff {
namespace {

// Adds to `depends` every slot that a parameter's gradient flows through.
void mark(const Program& p, const List& list, Slots& depends) {
  for (const Call& call : list) {
    mark(p, call.body, depends);
    const auto reached = [&](SlotId id) { return id != kNone && depends.count(id); };
    if (!std::any_of(call.in.begin(), call.in.end(), reached) &&
        !std::any_of(call.base.begin(), call.base.end(), reached))
      continue;
    for (const SlotId id : call.out) {
      const Slot& slot = p.slots[size_t(id)];
      if (!slot.saved && is_floating(slot.spec.dtype)) depends.insert(id);
    }
  }
}

// Walks a forward list backwards and calls each operator's gradient rule, which emits calls.
class Sweep final : public Gradient {
 public:
  Sweep(Program& p, const Slots& depends, const List& forward, List& input, List& weight)
      : p_(p), depends_(depends), forward_(forward), input_(input), weight_(weight) {
    for (const SlotId id : surface(forward).writes) made_here_.insert(id);
  }

  // Starts from the gradients of some values.
  void run(std::map<SlotId, SlotId> seed) {
    gradient_ = std::move(seed);
    const Call* pending = nullptr;  // a rounds node whose round 0 is being swept
    for (auto call = forward_.rbegin(); call != forward_.rend(); ++call) {
      if (pending && call->round_zero_of != pending->round_zero_of)
        sweep_rounds(*std::exchange(pending, nullptr));
      call_ = &*call;
      if (!wanted(*call)) continue;
      for (size_t k = 0; k < call->out.size(); ++k)  // out = base + f: the base gets dy as it is
        if (call->base[k] != kNone && call->base[k] != call->out[k])
          pass(dy(int(k)), call->base[k]);
      if (call->op == &kRounds) {
        pending = &*call;
        continue;
      }
      check(call->op->gradient, "[{}] has no gradient rule", call->op->name);
      call->op->gradient(*this);
    }
    if (pending) sweep_rounds(*pending);
  }

  SlotId in(int i) const override { return call_->in[size_t(i)]; }
  SlotId out(int k) const override { return call_->out[size_t(k)]; }
  SlotId dy(int k) const override { return find(call_->out[size_t(k)]); }
  const Desc& desc() const override { return call_->desc; }

  void emit(const Operator& op, std::vector<SlotId> in, std::vector<SlotId> of,
            Desc desc) override {
    if (std::none_of(of.begin(), of.end(), [&](SlotId id) { return depends_.count(id); })) return;
    Call call{.op = &op,
              .in = std::move(in),
              .desc = desc,
              .phase = call_->phase,
              .segment = call_->segment};
    bool weight = true;
    Slots seen;
    for (const SlotId id : of) {
      check(id == kNone || seen.insert(id).second,
            "[{}] two outputs for one gradient; emit them in two calls", op.name);
      if (id == kNone || !depends_.count(id)) {  // an unused output
        call.out.push_back(kNone), call.base.push_back(kNone);
        continue;
      }
      weight &= p_.slots[size_t(id)].kind == Kind::parameter;
      const SlotId own = accumulator(id), found = own != kNone ? own : find(id);
      call.out.push_back(own);  // kNone: a fresh slot
      call.base.push_back(found);
    }
    const Call& made = p_.append(weight ? weight_ : input_, std::move(call));
    for (size_t k = 0; k < of.size(); ++k)
      if (of[k] != kNone && depends_.count(of[k]) &&
          p_.slots[size_t(of[k])].kind != Kind::parameter)
        gradient_[of[k]] = made.out[k];
  }

  void pass(SlotId d, SlotId of) override {
    if (d == kNone || !depends_.count(of)) return;
    if (find(of) == kNone && accumulator(of) == kNone)
      gradient_[of] = d;
    else
      emit(kIdentity, {d}, {of}, {});
  }

  std::map<SlotId, SlotId> accumulators;  // inside a rounds body: outer slot → its gradient

 private:
  SlotId find(SlotId id) const {
    const auto it = gradient_.find(id);
    return it == gradient_.end() ? kNone : it->second;
  }

  bool wanted(const Call& call) const {
    return std::any_of(call.out.begin(), call.out.end(),
                       [&](SlotId id) { return depends_.count(id) && gradient_.count(id); });
  }

  // The accumulator of a gradient: a parameter's, or in a rounds body an outer slot's.
  SlotId accumulator(SlotId id) {
    const Slot slot = p_.slots[size_t(id)];  // by value: add() below moves the slots
    if (slot.kind == Kind::parameter) {
      auto [it, fresh] = p_.gradient_of.try_emplace(id);
      if (fresh) it->second = p_.add(Kind::accumulator, slot.name, slot.spec).id;
      return it->second;
    }
    if (&forward_ == &p_.forward || made_here_.count(id)) return kNone;
    auto [it, fresh] = accumulators.try_emplace(id);
    if (fresh) it->second = p_.add(Kind::activation, "", slot.spec).id;
    return it->second;
  }

  // The gradient of rounds 1 … is a rounds node too. Its body first rebuilds the round's values
  // (the next round has overwritten them), then runs the gradients of the forward body; all of it
  // is input gradient. It adds to the gradients of round 0, which has been swept before.
  void sweep_rounds(const Call& node) {
    Call back{.op = &kRounds, .phase = node.phase, .segment = node.segment};
    List gradients;
    Sweep inner(p_, depends_, node.body, gradients, gradients);
    inner.run({{node.out[0], find(node.out[0])}});
    std::vector<const Call*> calls;
    for (const Call& call : node.body) calls.push_back(&call);
    std::vector<Call*> readers;
    for (Call& call : gradients) readers.push_back(&call);
    back.body = replay(p_, calls, inner.made_here_, readers);
    back.body.insert(back.body.end(), gradients.begin(), gradients.end());
    back.in = surface(back.body).reads;
    back.in.insert(back.in.begin(), node.in[0]);
    for (const auto& [id, sum] : inner.accumulators) {
      back.out.push_back(sum);
      back.base.push_back(find(id));
      gradient_[id] = sum;
    }
    std::erase_if(back.in,
                  [&](SlotId id) { return std::count(back.out.begin(), back.out.end(), id) > 0; });
    input_.push_back(std::move(back));
  }

  Program& p_;
  const Slots& depends_;  // slots through which a gradient flows
  const List& forward_;
  List &input_, &weight_;
  std::map<SlotId, SlotId> gradient_;
  Slots made_here_;
  const Call* call_ = nullptr;
};

// Drops gradients that a rule emitted but nobody reads, such as that of nll: the cross-entropy loss
// has already made the gradients of its inputs.
void drop_unread(Program& p) {
  Slots read;
  const auto unread = [&](const Call& call) {
    if (std::any_of(call.out.begin(), call.out.end(), [&](SlotId id) {
          return id != kNone &&
                 (p.slots[size_t(id)].kind != Kind::activation || read.count(p.root(id)));
        })) {
      for (const auto* ids : {&call.in, &call.base})
        for (const SlotId id : *ids)
          if (id != kNone) read.insert(p.root(id));
      return false;
    }
    return true;
  };
  for (List* list : {&p.weight_gradient, &p.input_gradient})
    for (size_t i = list->size(); i-- > 0;)
      if (unread((*list)[i])) list->erase(list->begin() + long(i));
}

}  // namespace

Value differentiate(Program& p, Value loss) {
  check(loss.spec().count() == 1 && is_floating(loss.spec().dtype),
        "the loss must be one floating-point number, not {}", to_string(loss.spec()));
  const Value seed = p.add(Kind::constant, "one", loss.spec());
  Slots depends;
  for (const auto& [id, spec] : p.parameters) depends.insert(id);
  mark(p, p.forward, depends);
  Sweep(p, depends, p.forward, p.input_gradient, p.weight_gradient).run({{loss.id, seed.id}});
  for (const auto& [id, spec] : p.parameters)
    check(p.gradient_of.count(id), "no gradient reaches parameter {}: the loss does not use it",
          spec.name);
  drop_unread(p);
  recompute_segments(p);
  verify(p);
  return seed;
}

}  // namespace birkhoff
