#include "engine/plan/plan.h"

#include <algorithm>
#include <set>

#include "engine/plan/lifetimes.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

bool is_named(Kind kind) {
  return kind == Kind::parameter || kind == Kind::accumulator || kind == Kind::state;
}

Arena arena_of(Kind kind) {
  switch (kind) {
    case Kind::parameter:
      return Arena::parameters;
    case Kind::accumulator:
      return Arena::accumulators;
    case Kind::state:
      return Arena::state;
    case Kind::activation:
      return Arena::activations;
    default:
      return Arena::io;
  }
}

// Collects the slots (roots) that any call of the list reads.
void collect_reads(const Program& p, const List& list, std::set<SlotId>& reads) {
  for (const Call& call : list) {
    for (const SlotId id : call.in)
      if (id != kNone) reads.insert(p.root(id));
    for (size_t k = 0; k < call.out.size(); ++k)
      if (call.base[k] != kNone) reads.insert(p.root(call.base[k]));
    collect_reads(p, call.body, reads);
  }
}

}  // namespace

std::string_view name_of(Arena arena) {
  constexpr std::string_view kNames[] = {"parameters", "accumulators", "state", "io",
                                         "activations"};
  return kNames[size_t(arena)];
}

class Planner {
 public:
  Planner(const Heartbeat& alive, const Target& target) : alive_(alive), target_(target) {}

  // Without stream_of: one device stream.
  Plan run(const Schedule& schedule, const StreamOf* stream_of) {
    for (const SchedulePart& part : schedule)
      for (const Together& together : part.steps)
        for (const Cursor& c : together) collect_reads(*c.program, *c.list, reads_[c.program]);
    std::vector<int> starts;
    for (const SchedulePart& part : schedule) {
      starts.push_back(time_);
      part_ = starts.size() - 1, call_ = 0;
      began_.emplace_back();
      for (const Together& together : part.steps)
        for (const Cursor& c : together) keep_constants(*c.program, c.lane);
      walk(part, [&](const Cursor& c, const Call& call) {
        began_.back().push_back(time_);
        visit(*c.program, c.lane, call);
        ++call_;
        if (alive_) alive_();
      });
      began_.back().push_back(time_);
      // Nothing outlives its part: what is read in another part must be kept or fail here.
      written_.clear();
    }
    starts.push_back(time_);
    CallOrders orders;
    if (stream_of) {
      place_apart();
      orders = call_orders(schedule, plan_, *stream_of);
      for (size_t part = 0; part < orders.size(); ++part) orders[part].began = began_[part];
    }
    merge(orders);
    place(orders);
    bury(starts);
    return std::move(plan_);
  }

 private:
  // The host sets constants even if no call that reads them is left.
  void keep_constants(const Program& p, int lane) {
    for (SlotId id = 0; id < SlotId(p.slots.size()); ++id)
      if (p.slots[size_t(id)].kind == Kind::constant) keep(p, lane, id);
  }

  void visit(const Program& p, int lane, const Call& call) {
    for (const SlotId id : call.in)
      if (id != kNone) read(p, lane, call, p.root(id));
    for (size_t k = 0; k < call.out.size(); ++k) {
      const SlotId out = call.out[k], base = call.base[k];
      if (base != kNone && base != out) read(p, lane, call, p.root(base));
      if (p.slots[size_t(out)].view_of == kNone) write(p, lane, out, base == out);
      if (base != kNone && base != out) may_share(p, lane, call, base, out);
    }
    enlarge_workspace(p, call);
    ++time_;
    if (call.op != &kRounds) return;
    for (const Call& inner : call.body) visit(p, lane, inner);        // once: every round is alike
    for (const SlotId id : call.in) read(p, lane, call, p.root(id));  // alive until the last round
    for (const SlotId id : call.out) read(p, lane, call, id);
    ++time_;
  }

  void read(const Program& p, int lane, const Call& call, SlotId root) {
    const Slot& slot = p.slots[size_t(root)];
    if (slot.kind != Kind::activation) {
      keep(p, lane, root);
      return;
    }
    const Plan::Key key = Plan::key(p, lane, root);
    check(written_.count(key), "[{}] of {} reads %{} before it is written: the schedule is wrong",
          call.op->name, to_string(call.phase), root);
    use(items_[key].lives.back());
  }

  void use(Life& life) {
    life.dies = time_;
    life.users.push_back(call_);
  }

  void write(const Program& p, int lane, SlotId id, bool accumulates) {
    if (p.slots[size_t(id)].kind != Kind::activation) {
      keep(p, lane, id);
      return;
    }
    if (!reads_[&p].count(id)) return;  // nobody reads it
    const Plan::Key key = Plan::key(p, lane, id);
    Item& item = items_[key];
    item.bytes = p.slots[size_t(id)].spec.bytes();
    if (accumulates && written_.count(key))
      use(item.lives.back());
    else
      item.lives.push_back({time_, time_, part_, {call_}});
    written_.insert(key);
  }

  // Everything but activations gets its place when it is first seen.
  void keep(const Program& p, int lane, SlotId id) {
    const Slot& slot = p.slots[size_t(id)];
    const auto [it, fresh] = plan_.places_.try_emplace(Plan::key(p, lane, id));
    if (is_named(slot.kind)) {
      auto& named = plan_.named_[{slot.kind, slot.name}];
      check(fresh || named.spec == slot.spec, "{} is {} in one program, but {} in another",
            slot.name, named.spec, slot.spec);
      if (fresh) named = {slot.name, slot.spec, {}};
    }
    if (fresh) {
      const Arena arena = arena_of(slot.kind);
      size_t& end = plan_.bytes_[size_t(arena)];
      end = (end + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
      it->second = {arena, end, slot.spec.bytes()};
      end += slot.spec.bytes();
      if (is_named(slot.kind)) plan_.named_[{slot.kind, slot.name}].place = it->second;
    }
  }

  // out = base + …: if base dies at this call, out may take over its memory, unless base is an
  // input too.
  void may_share(const Program& p, int lane, const Call& call, SlotId base, SlotId out) {
    const bool owns = p.root(base) == base && p.slots[size_t(base)].kind == Kind::activation &&
                      p.slots[size_t(out)].kind == Kind::activation && reads_[&p].count(out);
    const bool input = std::any_of(call.in.begin(), call.in.end(),
                                   [&](SlotId id) { return id != kNone && p.root(id) == base; });
    if (owns && !input)
      in_place_.emplace_back(&items_[Plan::key(p, lane, base)], &items_[Plan::key(p, lane, out)]);
  }

  void enlarge_workspace(const Program& p, const Call& call) {
    const Workspace w = workspace(*call.op, input_specs(p, call), call.desc, target_);
    plan_.workspace.shared = std::max(plan_.workspace.shared, w.shared);
    plan_.workspace.per_thread = std::max(plan_.workspace.per_thread, w.per_thread);
  }

  static Item* home(Item* i) { return i->in ? home(i->in) : i; }

  // An output shares its base's memory if the base dies where the output is born, in every life.
  void merge(const CallOrders& orders) {
    for (const auto& [first, out] : in_place_) {
      Item* base = home(first);
      bool fits = base != out && !out->in && base->bytes == out->bytes &&
                  base->lives.size() == out->lives.size();
      for (size_t k = 0; fits && k < out->lives.size(); ++k)
        fits = base->lives[k].dies == out->lives[k].born &&
               over(base->lives[k], out->lives[k].users.front(), orders);
      if (!fits) continue;
      for (size_t k = 0; k < out->lives.size(); ++k) {
        Life &to = base->lives[k], &from = out->lives[k];
        to.dies = from.dies;
        to.users.insert(to.users.end(), from.users.begin(), from.users.end());
      }
      out->in = base;
    }
  }

  // Gives every item memory of its own: shows the order that the data alone demands.
  void place_apart() {
    size_t end = 0;
    for (const auto& [key, item] : items_) {
      plan_.places_[key] = {Arena::activations, end, item.bytes};
      end += item.bytes;
    }
  }

  void place(const CallOrders& orders) {
    std::vector<Item*> all;
    for (auto& [key, item] : items_) all.push_back(&item);
    plan_.activation_floor = most_alive(all);
    plan_.bytes_[size_t(Arena::activations)] = place_items(all, orders, alive_);
    for (auto& [key, item] : items_)
      plan_.places_[key] = {Arena::activations, home(&item)->offset, item.bytes};
  }

  void bury(const std::vector<int>& starts) {
    for (size_t part = 0; part + 1 < starts.size(); ++part)
      plan_.freed.emplace_back(size_t(starts[part + 1] - starts[part]));
    for (const auto& [key, item] : items_)
      for (const Life& l : item.lives) {
        if (item.in) continue;
        const auto next = std::upper_bound(starts.begin(), starts.end(), l.dies);
        const size_t part = size_t(next - starts.begin()) - 1;
        plan_.freed[part][size_t(l.dies - starts[part])].push_back(
            {Arena::activations, item.offset, item.bytes});
      }
  }

  const Heartbeat& alive_;
  const Target target_;
  Plan plan_;
  std::map<Plan::Key, Item> items_;
  std::map<const Program*, std::set<SlotId>> reads_;
  std::set<Plan::Key> written_;  // in this part so far
  std::vector<std::pair<Item*, Item*>> in_place_;
  int time_ = 0;
  size_t part_ = 0;
  int call_ = 0;                         // in the part's walk; a rounds node and its body are one
  std::vector<std::vector<int>> began_;  // by part: when each call begins; last, when it ends
};

Plan::Key Plan::key(const Program& p, int lane, SlotId root) {
  const Slot& slot = p.slots[size_t(root)];
  if (is_named(slot.kind)) return {nullptr, int(slot.kind), kNone, slot.name};
  if (slot.kind == Kind::constant) lane = -1;
  return {&p, lane, root, ""};
}

Place Plan::place(const Program& p, int lane, SlotId id) const {
  size_t offset = 0;
  const size_t bytes = p.slots[size_t(id)].spec.bytes();
  for (; p.slots[size_t(id)].view_of != kNone; id = p.slots[size_t(id)].view_of)
    offset += p.slots[size_t(id)].offset;
  const auto it = places_.find(key(p, lane, id));
  check(it != places_.end(), "slot %{} has no place in an arena", id);
  return {it->second.arena, it->second.offset + offset, bytes};
}

bool Plan::placed(const Program& p, int lane, SlotId id) const {
  return places_.count(key(p, lane, p.root(id))) > 0;
}

std::vector<Plan::Named> Plan::named(Kind kind) const {
  std::vector<Named> all;
  for (const auto& [key, named] : named_)
    if (key.first == kind) all.push_back(named);
  return all;
}

Plan plan_memory(const Schedule& schedule, const Heartbeat& alive, const Target& target) {
  return Planner(alive, target).run(schedule, nullptr);
}

Plan plan_memory(const Schedule& schedule, const StreamOf& stream_of, const Heartbeat& alive,
                 const Target& target) {
  return Planner(alive, target).run(schedule, &stream_of);
}

}  // namespace birkhoff
