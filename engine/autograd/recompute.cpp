#include <algorithm>

#include "engine/autograd/differentiate.h"

namespace birkhoff {
namespace {

void rename(std::vector<SlotId>& ids, const Rename& names) {
  for (SlotId& id : ids)
    if (const auto it = names.find(id); it != names.end()) id = it->second;
}

using Time = size_t;  // position of a backward call in the input-gradient list

// Recomputes segments one by one. Recomputed calls are inserted into the list at the end, so that
// times stay valid and the whole is linear in the length of the lists.
class Recomputation {
 public:
  explicit Recomputation(Program& p) : p_(p) {
    std::map<Phase, Time> end;  // last call of each phase
    for (Time i = 0; i < p.input_gradient.size(); ++i) {
      Call& call = p.input_gradient[i];
      start_.try_emplace(call.segment, i);
      end[call.phase] = i;
      note(call, i);
    }
    // A call of the weight list runs after the last input-gradient call of its phase.
    for (Call& call : p.weight_gradient) {
      const auto last = end.find(call.phase);
      note(call, last == end.end() ? p.input_gradient.size() : last->second);
    }
  }

  void segment(int number, const std::vector<const Call*>& calls) {
    const auto start = start_.find(number);
    if (start == start_.end()) return;
    Slots dropped;
    std::vector<Call*> later;
    for (const Call* call : calls)
      if (!call->keep && !call->op->communicates)
        for (size_t k = 0; k < call->out.size(); ++k)
          if (call->base[k] != call->out[k]) drop(call->out[k], start->second, dropped, later);
    List& again = again_[start->second] = replay(p_, calls, dropped, later);
    for (Call& call : again) {
      call.phase = p_.input_gradient[start->second].phase;  // issued with its reader
      note(call, start->second);
    }
  }

  void insert() {
    List all;
    for (Time i = 0; i < p_.input_gradient.size(); ++i) {
      if (const auto it = again_.find(i); it != again_.end())
        std::move(it->second.begin(), it->second.end(), std::back_inserter(all));
      all.push_back(std::move(p_.input_gradient[i]));
    }
    p_.input_gradient = std::move(all);
  }

 private:
  void note(Call& call, Time time) {
    for (const auto* ids : {&call.in, &call.base})
      for (const SlotId id : *ids)
        if (id != kNone) readers_[id].push_back({time, &call});
  }

  // A value that is read before the segment's backward begins is kept.
  void drop(SlotId id, Time start, Slots& dropped, std::vector<Call*>& later) {
    const auto& readers = readers_[id];
    for (const auto& [time, call] : readers)
      if (time < start) return;
    dropped.insert(id);
    for (const auto& [time, call] : readers) later.push_back(call);
  }

  Program& p_;
  std::map<int, Time> start_;  // first backward call of each segment
  std::map<SlotId, std::vector<std::pair<Time, Call*>>> readers_;
  std::map<Time, List> again_;  // recomputed calls, to be inserted before the call at that time
};

}  // namespace

void rename_reads(Call& call, const Rename& names) {
  rename(call.in, names);
  for (size_t k = 0; k < call.base.size(); ++k)
    if (call.base[k] != kNone && call.base[k] != call.out[k])
      if (const auto it = names.find(call.base[k]); it != names.end()) call.base[k] = it->second;
  for (Call& inner : call.body) rename_reads(inner, names);
}

List replay(Program& p, const std::vector<const Call*>& calls, const Slots& dropped,
            const std::vector<Call*>& readers) {
  Slots wanted;
  const auto want = [&](const Call& call) {
    for (const auto* ids : {&call.in, &call.base})
      for (const SlotId id : *ids)
        if (dropped.count(id)) wanted.insert(id);
  };
  for (const Call* reader : readers) want(*reader);
  std::vector<const Call*> again;
  for (auto call = calls.rbegin(); call != calls.rend(); ++call)
    if (std::any_of((*call)->out.begin(), (*call)->out.end(),
                    [&](SlotId id) { return wanted.count(id); })) {
      again.push_back(*call);
      want(**call);
    }
  List list;
  Rename names;
  for (auto call = again.rbegin(); call != again.rend(); ++call) {
    Call copy = **call;
    rename_reads(copy, names);
    for (size_t k = 0; k < copy.out.size(); ++k) {
      if (copy.base[k] == copy.out[k]) copy.base[k] = kNone;  // it has been counted already
      copy.out[k] = kNone;
    }
    const Call& made = p.append(list, std::move(copy));
    for (size_t k = 0; k < made.out.size(); ++k)
      if (dropped.count((*call)->out[k])) names[(*call)->out[k]] = made.out[k];
  }
  for (Call* reader : readers) rename_reads(*reader, names);
  return list;
}

void recompute_segments(Program& p) {
  // Last first, since a replayed call may read values of an earlier segment.
  std::map<int, std::vector<const Call*>, std::greater<>> segments;
  for (const Call& call : p.forward)
    if (call.segment != kNone) segments[call.segment].push_back(&call);
  Recomputation recomputation(p);
  for (const auto& [segment, calls] : segments) recomputation.segment(segment, calls);
  recomputation.insert();
}

}  // namespace birkhoff
