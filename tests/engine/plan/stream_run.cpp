#include "tests/engine/plan/stream_run.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <numeric>
#include <set>

#include "base/rng.h"

namespace birkhoff::testing {
namespace {

constexpr size_t kAgents = kStreams + 1, kHost = kStreams;

}  // namespace

class StreamRun::Device {
 public:
  Device(StreamRun& run, const History& history, Pick pick, uint64_t seed)
      : run_(run), arenas_(run.arenas_), history_(history), pick_(pick), random_(seed, "turns") {
    std::iota(ranks_.begin(), ranks_.end(), size_t(0));
    for (size_t i = kAgents - 1; i > 0; --i) std::swap(ranks_[i], ranks_[below(i + 1)]);
  }

  StreamRunResult go() {
    for (;;) {
      std::vector<size_t> ready;
      for (const size_t agent : ranks_)
        if (may_go_on(agent)) ready.push_back(agent);
      if (ready.empty()) break;
      size_t next = pick_ == Pick::drawn ? ready[below(ready.size())] : ready[0];
      if (pick_ == Pick::issue_order) next = *std::min_element(ready.begin(), ready.end());
      if (next == kHost)
        issue();
      else
        make(next);
    }
    check(part_ == history_.size(), "the host waits for ever");
    for (const auto& queue : queues_) check(queue.empty(), "a stream waits for ever");
    for (const Arena a : {Arena::parameters, Arena::accumulators, Arena::state})
      result_.arenas.push_back(arenas_[size_t(a)]);
    return std::move(result_);
  }

 private:
  struct Bound {  // a call with its arguments as of its issue
    const Call* call;
    std::vector<Operand> in;
    std::vector<Result> out;
    int round;
  };
  struct Job {
    size_t number;
    std::vector<size_t> after;  // jobs
    std::function<void()> work;
  };

  uint64_t below(uint64_t n) { return random_.below(draws_++, n); }
  const Turn& next_turn() const { return run_.streams_.parts[history_[part_]][turn_]; }

  bool may_go_on(size_t agent) const {
    if (agent != kHost) {
      const auto& queue = queues_[agent];
      return !queue.empty() && std::all_of(queue[0].after.begin(), queue[0].after.end(),
                                           [&](size_t job) { return done_[job]; });
    }
    if (part_ == history_.size()) return false;
    const Turn& t = next_turn();  // a rounds node waits for its count, copied by the turn before it
    return t.what != Turn::What::call || t.call->op != &kRounds || done_.back();
  }

  void make(size_t stream) {
    const Job job = std::move(queues_[stream].front());
    queues_[stream].pop_front();
    job.work();
    done_[job.number] = true;
  }

  void issue() {
    if (turn_ == 0 && history_[part_] == 0 && (part_ == 0 || history_[part_ - 1] != 0))
      started_.clear();
    const Turn& t = next_turn();
    Job job{done_.size(), {}, work(t)};
    for (const Wait& w : t.waits)
      if (recorded_.count(w.event)) job.after.push_back(recorded_[w.event]);
    if (t.record != kNone) recorded_[t.record] = job.number;
    done_.push_back(false);
    queues_[size_t(t.stream)].push_back(std::move(job));
    if (++turn_ == run_.streams_.parts[history_[part_]].size()) turn_ = 0, ++part_;
  }

  std::byte* at(const Turn& t, SlotId id) const {
    const Place place = run_.plan_.place(*t.program, t.lane, id);
    return arenas_[size_t(place.arena)].data() + place.offset;
  }

  std::function<void()> work(const Turn& t) {
    const auto copy = [&](std::byte* to, const std::byte* from, size_t bytes) {
      return [=] { std::memcpy(to, from, bytes); };
    };
    switch (t.what) {
      case Turn::What::call:
        return calls(t);
      case Turn::What::count:
        return copy(reinterpret_cast<std::byte*>(&count_), at(t, t.slot), sizeof count_);
      case Turn::What::upload: {
        auto& bytes = pinned_.emplace_back(t.program->slots[size_t(t.slot)].spec.bytes());
        run_.fill_(t, part_, bytes);
        return copy(at(t, t.slot), bytes.data(), bytes.size());
      }
      default: {
        auto& bytes = result_.downloads[{part_, turn_}];
        bytes.resize(t.program->slots[size_t(t.slot)].spec.bytes());
        return copy(bytes.data(), at(t, t.slot), bytes.size());
      }
    }
  }

  std::function<void()> calls(const Turn& t) {
    std::vector<Bound> all;
    if (t.call->op != &kRounds) {
      bind(t, *t.call, 0, all);
      return [this, all] { make(all); };
    }
    const Call& node = *t.call;
    std::vector<std::tuple<std::byte*, std::byte*, size_t>> starts;
    for (size_t k = 0; k < node.out.size(); ++k) {
      std::byte* out = at(t, node.out[k]);
      starts.emplace_back(out, node.base[k] == kNone ? nullptr : at(t, node.base[k]),
                          t.program->slots[size_t(node.out[k])].spec.bytes());
      started_.insert(out);
    }
    // A run without its waits reads counts that are none.
    for (int round = 1; round < std::clamp(count_, 1, 8); ++round)
      for (const Call& inner : node.body) bind(t, inner, round, all);
    return [this, all, starts] {
      for (const auto& [out, base, bytes] : starts)
        if (!base)
          std::memset(out, 0, bytes);
        else
          std::memmove(out, base, bytes);
      make(all);
    };
  }

  void bind(const Turn& t, const Call& call, int round, std::vector<Bound>& all) {
    static const TensorSpec kAbsent;
    Bound b{&call, {}, {}, round};
    const Program& p = *t.program;
    for (const SlotId id : call.in)
      b.in.push_back(id == kNone ? Operand{&kAbsent, nullptr}
                                 : Operand{&p.slots[size_t(id)].spec, at(t, id)});
    bool made = false;
    for (size_t k = 0; k < call.out.size(); ++k) {
      Result r{.spec = &p.slots[size_t(call.out[k])].spec};
      if (run_.plan_.placed(p, t.lane, call.out[k])) {
        r.data = at(t, call.out[k]);
        made = true;
        if (call.base[k] != kNone) r.base = at(t, call.base[k]);
        if (call.base[k] == call.out[k] && !call.op->updates &&
            started_.insert(static_cast<std::byte*>(r.data)).second)
          r.base = nullptr;
      }
      b.out.push_back(r);
    }
    if (made) all.push_back(std::move(b));
  }

  void make(const std::vector<Bound>& all) {
    for (const Bound& b : all) {
      context_.round = b.round;
      b.call->op->implementations[size_t(birkhoff::Device::reference)].front().run(
          Args{b.in, b.out, &b.call->desc, &context_});
    }
  }

  StreamRun& run_;
  std::array<std::vector<std::byte>, kArenas>& arenas_;
  const History& history_;
  const Pick pick_;
  Random random_;
  uint64_t draws_ = 0;
  std::array<size_t, kAgents> ranks_;
  size_t part_ = 0, turn_ = 0;  // what the host issues next
  std::array<std::deque<Job>, kStreams> queues_;
  std::vector<char> done_;
  std::map<int, size_t> recorded_;
  std::set<std::byte*> started_;  // accumulators
  std::deque<std::vector<std::byte>> pinned_;
  int32_t count_ = 1;
  ThreadTeam team_{1};
  Context context_{.team = &team_};
  StreamRunResult result_;
};

StreamRun::StreamRun(const Plan& plan, const StreamPlan& streams, Fill fill)
    : plan_(plan), streams_(streams), fill_(std::move(fill)) {
  for (int a = 0; a < kArenas; ++a) arenas_[size_t(a)].resize(plan.bytes(Arena(a)) + 64);
}
StreamRun::~StreamRun() = default;

std::byte* StreamRun::at(const Place& place) {
  return arenas_[size_t(place.arena)].data() + place.offset;
}

StreamRunResult StreamRun::run(const History& history, Pick pick, uint64_t seed) {
  return Device(*this, history, pick, seed).go();
}

}  // namespace birkhoff::testing
