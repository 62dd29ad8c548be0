#include "engine/plan/turns.h"

#include <algorithm>
#include <set>

namespace birkhoff {
namespace {

class TurnLister {
 public:
  TurnLister(const Plan& plan, const StreamOf& stream_of) : plan_(plan), stream_of_(stream_of) {}

  std::vector<TouchingTurn> run(const SchedulePart& part) {
    std::set<size_t> uploaded, downloaded;  // by offset in the io arena
    walk(part, [&](const Cursor& c, const Call& call) { uploads(c, call, uploaded); });
    walk(part, [&](const Cursor& c, const Call& call) {
      const bool rounds = call.op == &kRounds;
      if (rounds) copy(Turn::What::count, c, call.in[0], false, &call);
      TouchingTurn& t = add({.program = c.program, .lane = c.lane, .call = &call});
      touch(c, call, t.accesses);
      if (rounds) t.behind = int(turns_.size()) - 2;
    });
    walk(part, [&](const Cursor& c, const Call& call) {
      for (const SlotId id : call.out)
        if (const SlotId root = c.program->root(id); is(c, root, Kind::output))
          if (downloaded.insert(plan_.place(*c.program, c.lane, root).offset).second)
            copy(Turn::What::download, c, root, false);
    });
    return std::move(turns_);
  }

 private:
  static bool is(const Cursor& c, SlotId id, Kind kind) {
    return c.program->slots[size_t(id)].kind == kind;
  }

  TouchingTurn& add(const Turn& turn) {
    turns_.push_back({.turn = turn});
    turns_.back().turn.stream = stream_of_(turn);
    return turns_.back();
  }

  void copy(Turn::What what, const Cursor& c, SlotId id, bool writes, const Call* node = nullptr) {
    TouchingTurn& t =
        add({.what = what, .program = c.program, .lane = c.lane, .call = node, .slot = id});
    touch(c, id, writes, t.accesses);
  }

  void uploads(const Cursor& c, const Call& call, std::set<size_t>& uploaded) {
    const auto upload = [&](SlotId id) {
      if (id == kNone) return;
      const SlotId root = c.program->root(id);
      if (!is(c, root, Kind::input) && !is(c, root, Kind::constant)) return;
      if (uploaded.insert(plan_.place(*c.program, c.lane, root).offset).second)
        copy(Turn::What::upload, c, root, true);
    };
    for (const SlotId id : call.in) upload(id);
    for (const SlotId id : call.base) upload(id);
    for (const Call& inner : call.body) uploads(c, inner, uploaded);
  }

  void touch(const Cursor& c, SlotId id, bool writes, std::vector<Access>& accesses) const {
    if (id == kNone) return;
    const Place at = plan_.place(*c.program, c.lane, id);
    if (at.bytes) accesses.push_back({int(at.arena), at.offset, at.offset + at.bytes, writes});
  }

  void touch(const Cursor& c, const Call& call, std::vector<Access>& accesses) const {
    const auto placed = [&](SlotId id) { return plan_.placed(*c.program, c.lane, id); };
    if (std::none_of(call.out.begin(), call.out.end(), placed)) return;  // the call is skipped
    for (const SlotId id : call.in) touch(c, id, false, accesses);
    for (size_t k = 0; k < call.out.size(); ++k) {
      const SlotId out = call.out[k], base = call.base[k];
      if (!placed(out)) continue;
      if (base != out) touch(c, base, false, accesses);
      if (c.program->slots[size_t(out)].view_of == kNone) touch(c, out, true, accesses);
    }
    if (call.op->communicates) accesses.push_back({kCommunicator, 0, 1, true});
    for (const Call& inner : call.body) touch(c, inner, accesses);
  }

  const Plan& plan_;
  const StreamOf& stream_of_;
  std::vector<TouchingTurn> turns_;
};

}  // namespace

std::string_view name_of(Stream stream) {
  constexpr std::string_view kNames[] = {"compute", "communication", "urgent", "staging"};
  return kNames[size_t(stream)];
}

Stream stream_of(const Turn& turn) {
  if (turn.what != Turn::What::call) return Stream::staging;
  return turn.call->op->communicates ? Stream::communication : Stream::compute;
}

TouchingTurns turns_of(const Schedule& schedule, const Plan& plan, const StreamOf& stream_of) {
  TouchingTurns parts;
  for (const SchedulePart& part : schedule) parts.push_back(TurnLister(plan, stream_of).run(part));
  return parts;
}

}  // namespace birkhoff
