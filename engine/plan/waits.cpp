// Derives waits and events from the bytes that turns touch.
//
// For each device stream, the deriver tracks how many turns of every device stream are known to be
// over: in the current run, and in the last run of each part. If a turn of the last run is over, so
// are all turns of earlier runs on its device stream, which keeps its order. Parts run in any
// order, and least is known when a part directly follows the other; so a device stream begins with
// what it knew when the other ended, and a turn of an earlier run passes on only what it knew of
// its own run: others may have run since.
#include <algorithm>
#include <climits>
#include <set>

#include "engine/plan/touched.h"

namespace birkhoff {
namespace {

// By epoch: the last run of each part, then the current run.
using Clock = std::vector<Counts>;

constexpr Counts kAll = {INT_MAX, INT_MAX, INT_MAX, INT_MAX};

void join(Counts& to, const Counts& other) {
  for (size_t t = 0; t < kStreams; ++t) to[t] = std::max(to[t], other[t]);
}

struct Cause {  // a turn that must end before another begins
  size_t epoch;
  size_t stream;
  int number;   // on that device stream, from 1
  size_t turn;  // index in its part
};

struct Derived {                           // for one part
  std::vector<std::vector<Cause>> causes;  // by turn, without those that others imply
  std::vector<Clock> clocks;               // by turn: over when it ends, itself included
  std::array<Clock, kStreams> ends;
  Touched touched;                                  // in this run
  std::array<std::vector<size_t>, kStreams> turns;  // by device stream
};

class Deriver {
 public:
  // `runs`: how runs of all parts end; null: nothing has run before.
  Deriver(size_t parts, const std::vector<Derived>* runs) : now_(parts), runs_(runs) {
    for (size_t s = 0; s < kStreams; ++s) {
      streams_[s].assign(parts, kAll);
      for (size_t e = 0; runs && e < parts; ++e) {
        streams_[s][e] = (*runs)[e].ends[s][now_];
        streams_[s][e][s] = INT_MAX;
      }
      streams_[s].push_back({});
    }
    if (runs)
      for (const Derived& run : *runs) touched_.push_back(run.touched);
    touched_.resize(parts + 1);
  }

  Derived run(const std::vector<TouchingTurn>& part) {
    for (size_t i = 0; i < part.size(); ++i) {
      const auto s = size_t(part[i].turn.stream);
      std::vector<Cause> causes = reduce(needs(part, i));
      for (const Cause& cause : causes)
        for (size_t e = 0; e <= now_; ++e) join(streams_[s][e], told(cause, e));
      d_.causes.push_back(std::move(causes));
      d_.turns[s].push_back(i);
      const int number = ++streams_[s][now_][s];
      d_.clocks.push_back(streams_[s]);
      for (const Access& a : part[i].accesses) {
        for (size_t e = 0; e < now_ && a.writes; ++e) touched_[e].forget(a);
        touched_[now_].add(a, part[i].turn.stream, number);
      }
    }
    d_.ends = streams_;
    d_.touched = std::move(touched_[now_]);
    return std::move(d_);
  }

 private:
  const Derived& run_of(size_t epoch) const { return epoch == now_ ? d_ : (*runs_)[epoch]; }

  std::vector<Cause> needs(const std::vector<TouchingTurn>& part, size_t turn) const {
    const TouchingTurn& t = part[turn];
    const Clock& known = streams_[size_t(t.turn.stream)];
    std::vector<Cause> causes;
    for (size_t e = 0; e <= now_; ++e) {
      Counts needs = {};
      for (const Access& a : t.accesses) touched_[e].need(a, needs);
      if (e == now_ && t.behind != kNone) {
        const auto s = size_t(part[size_t(t.behind)].turn.stream);
        needs[s] = std::max(needs[s], d_.clocks[size_t(t.behind)][now_][s]);
      }
      for (size_t s = 0; s < kStreams; ++s)
        if (needs[s] > known[e][s])
          causes.push_back({e, s, needs[s], run_of(e).turns[s][size_t(needs[s]) - 1]});
    }
    return causes;
  }

  // What is known of an epoch once the cause has ended.
  Counts told(const Cause& cause, size_t epoch) const {
    const Clock& clock = run_of(cause.epoch).clocks[cause.turn];
    if (cause.epoch == now_) return clock[epoch];
    return cause.epoch == epoch ? clock[now_] : Counts{};
  }

  bool implies(const Cause& a, const Cause& b) const {
    return told(a, b.epoch)[b.stream] >= b.number;
  }

  std::vector<Cause> reduce(const std::vector<Cause>& causes) const {
    std::vector<Cause> kept;
    for (size_t i = 0; i < causes.size(); ++i) {
      bool implied = false;
      for (size_t j = 0; j < causes.size(); ++j) implied |= i != j && implies(causes[j], causes[i]);
      if (!implied) kept.push_back(causes[i]);
    }
    return kept;
  }

  const size_t now_;
  const std::vector<Derived>* runs_;
  std::array<Clock, kStreams> streams_;
  std::vector<Touched> touched_;  // by epoch
  Derived d_;
};

std::vector<Derived> first_runs(const TouchingTurns& parts) {
  std::vector<Derived> runs;
  for (const auto& part : parts) runs.push_back(Deriver(parts.size(), nullptr).run(part));
  return runs;
}

// A turn that other runs wait for owns its event, which is not reused until the part runs again.
// The other turns share one pool of event numbers, each in use from its record to its last wait.
class EventNumbers {
 public:
  EventNumbers(const std::vector<Derived>& runs, std::vector<std::vector<Turn>>& parts)
      : runs_(runs), parts_(parts), own_(parts.size()) {}

  int run() {
    for (const Derived& run : runs_)
      for (const auto& causes : run.causes)
        for (const Cause& c : causes)
          if (c.epoch < parts_.size()) own_[c.epoch].insert(c.turn);
    for (size_t part = 0; part < parts_.size(); ++part) share(part);
    int events = pool_;
    for (size_t part = 0; part < parts_.size(); ++part)
      for (const size_t turn : own_[part]) parts_[part][turn].record = events++;
    for (size_t part = 0; part < parts_.size(); ++part) waits(part);
    return events;
  }

 private:
  void share(size_t part) {
    std::map<size_t, size_t> last;  // turn → the last turn that waits for it in this run
    for (size_t i = 0; i < parts_[part].size(); ++i)
      for (const Cause& c : runs_[part].causes[i])
        if (c.epoch == parts_.size() && !own_[part].count(c.turn)) last[c.turn] = i;
    std::multimap<size_t, int> until;  // last wait → number
    std::set<int> free;
    for (int n = 0; n < pool_; ++n) free.insert(n);
    for (const auto& [turn, wait] : last) {
      for (; !until.empty() && until.begin()->first <= turn; until.erase(until.begin()))
        free.insert(until.begin()->second);
      if (free.empty()) free.insert(pool_++);
      parts_[part][turn].record = *free.begin();
      until.emplace(wait, *free.begin());
      free.erase(free.begin());
    }
  }

  void waits(size_t part) {
    for (size_t i = 0; i < parts_[part].size(); ++i)
      for (const Cause& c : runs_[part].causes[i]) {
        const bool earlier = c.epoch < parts_.size();
        const Turn& cause = parts_[earlier ? c.epoch : part][c.turn];
        parts_[part][i].waits.push_back({cause.record, earlier});
      }
  }

  const std::vector<Derived>& runs_;
  std::vector<std::vector<Turn>>& parts_;
  std::vector<std::set<size_t>> own_;  // turns that own their event, by part
  int pool_ = 0;
};

void enlarge(Workspace& w, const Program& p, const Call& call, const Target& target) {
  const Workspace own = workspace(*call.op, input_specs(p, call), call.desc, target);
  w.shared = std::max(w.shared, own.shared);
  w.per_thread = std::max(w.per_thread, own.per_thread);
  for (const Call& inner : call.body) enlarge(w, p, inner, target);
}

}  // namespace

StreamPlan plan_streams(const Schedule& schedule, const Plan& plan, const StreamOf& stream_of,
                        const Target& target) {
  const TouchingTurns parts = turns_of(schedule, plan, stream_of);
  const std::vector<Derived> first = first_runs(parts);
  std::vector<Derived> runs;
  StreamPlan result;
  for (const auto& part : parts) {
    runs.push_back(Deriver(parts.size(), &first).run(part));
    result.parts.emplace_back();
    for (const TouchingTurn& t : part) {
      result.parts.back().push_back(t.turn);
      if (t.turn.what == Turn::What::call)
        enlarge(result.workspace[size_t(t.turn.stream)], *t.turn.program, *t.turn.call, target);
    }
  }
  result.events = EventNumbers(runs, result.parts).run();
  return result;
}

std::vector<CallOrder> call_orders(const Schedule& schedule, const Plan& plan,
                                   const StreamOf& stream_of) {
  const TouchingTurns parts = turns_of(schedule, plan, stream_of);
  std::vector<CallOrder> orders;
  for (size_t part = 0; part < parts.size(); ++part) {
    const Derived run = Deriver(parts.size(), nullptr).run(parts[part]);
    orders.emplace_back();
    for (size_t i = 0; i < parts[part].size(); ++i) {
      const Turn& turn = parts[part][i].turn;
      if (turn.what != Turn::What::call) continue;
      orders.back().stream.push_back(turn.stream);
      orders.back().knows.push_back(run.clocks[i].back());
      orders.back().number.push_back(run.clocks[i].back()[size_t(turn.stream)]);
    }
  }
  return orders;
}

}  // namespace birkhoff
