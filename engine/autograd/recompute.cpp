#include <algorithm>

#include "engine/autograd/differentiate.h"

namespace birkhoff {
namespace {

void rename(std::vector<SlotId>& ids, const Rename& names) {
  for (SlotId& id : ids)
    if (const auto it = names.find(id); it != names.end()) id = it->second;
}

bool reads(const Call& call, SlotId id) {
  const auto in = [&](const std::vector<SlotId>& ids) {
    return std::count(ids.begin(), ids.end(), id) > 0;
  };
  return in(call.in) || in(call.base);
}

// Place in the input-gradient list from which on a backward call may read replayed values: a call
// of the weight list runs behind the last input-gradient call of its phase.
size_t time_of(const Program& p, const Call& weight) {
  for (size_t i = p.input_gradient.size(); i > 0; --i)
    if (p.input_gradient[i - 1].phase == weight.phase) return i - 1;
  return p.input_gradient.size();
}

void recompute_segment(Program& p, int segment, const std::vector<const Call*>& calls) {
  const auto head = std::find_if(p.input_gradient.begin(), p.input_gradient.end(),
                                 [&](const Call& call) { return call.segment == segment; });
  if (head == p.input_gradient.end()) return;
  const size_t start = size_t(head - p.input_gradient.begin());
  Slots dropped;
  for (const Call* call : calls)
    if (!call->keep && !call->op->communicates)
      for (size_t k = 0; k < call->out.size(); ++k)
        if (call->base[k] != call->out[k]) dropped.insert(call->out[k]);

  std::vector<Call*> readers;
  const auto sort = [&](Call& call, size_t time) {
    if (time >= start)
      readers.push_back(&call);
    else
      std::erase_if(dropped, [&](SlotId id) { return reads(call, id); });
  };
  for (size_t i = 0; i < p.input_gradient.size(); ++i) sort(p.input_gradient[i], i);
  for (Call& call : p.weight_gradient) sort(call, time_of(p, call));
  List again = replay(p, calls, dropped, readers);
  for (Call& call : again) call.phase = p.input_gradient[start].phase;  // issued with its reader
  p.input_gradient.insert(p.input_gradient.begin() + long(start), again.begin(), again.end());
}

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
      if (copy.base[k] == copy.out[k]) copy.base[k] = kNone;  // counted once, not again
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
  std::map<int, std::vector<const Call*>, std::greater<>> segments;  // last first: see header
  for (const Call& call : p.forward)
    if (call.segment != kNone) segments[call.segment].push_back(&call);
  for (const auto& [segment, calls] : segments) recompute_segment(p, segment, calls);
}

}  // namespace birkhoff
