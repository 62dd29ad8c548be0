#include "engine/execute/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace birkhoff {
namespace {

constexpr size_t kSlack = 4096;  // after each arena; shows writes beyond the plan of activations

size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

Pass pass_of(const Program& p, const List* list) {
  return list == &p.input_gradient    ? Pass::backward
         : list == &p.weight_gradient ? Pass::weight_gradient
         : list == &p.update          ? Pass::update
                                      : Pass::forward;
}

}  // namespace

// One call, its pointers bound.
struct Executor::Issue {
  const Call* call;
  Body run = nullptr;            // unused by rounds nodes
  size_t site = 0;               // unused by rounds nodes
  bool begins_backward = false;  // first backward call after the forward calls of a part
  std::vector<Operand> in;
  std::vector<Result> out;
  std::vector<int> accumulator;          // per output: index into started_, or −1
  std::vector<Issue> body;               // rounds
  std::vector<const std::byte*> starts;  // rounds: initial value per output, null for zero
};

Executor::Executor(const Schedule& schedule, ThreadTeam& team, Options options)
    : plan_(
          plan_memory(schedule, heartbeat_of(options.beacon), {options.device, options.features})),
      options_(options) {
  for (int a = 0; a < kArenas; ++a) arenas_[size_t(a)] = Buffer(plan_.bytes(Arena(a)) + kSlack);
  const size_t stride = rounded(plan_.workspace.per_thread);
  workspace_ = Buffer(rounded(plan_.workspace.shared) + stride * size_t(team.size()));
  context_ = {.team = &team,
              .shared_workspace = workspace_.data(),
              .thread_workspaces = workspace_.data() + rounded(plan_.workspace.shared),
              .thread_stride = stride,
              .features = options.features};
  if (options_.poison) {
    const Buffer& activations = arenas_[size_t(Arena::activations)];
    std::memset(activations.data(), int(options_.canary), activations.size());
  }
  for (const SchedulePart& part : schedule) {
    const size_t number = parts_.size();
    parts_.emplace_back();
    bool backward = false;
    walk(part, [&](const Cursor& c, const Call& call) {
      const Pass pass = pass_of(*c.program, c.list);
      const bool here = pass == Pass::backward || pass == Pass::weight_gradient;
      parts_.back().push_back(bind({c.program, &call, number, pass, false}, c.lane));
      parts_.back().back().begins_backward = here && !std::exchange(backward, here);
    });
  }
}

Executor::~Executor() = default;

int Executor::accumulator_index(const Program& p, int lane, SlotId id) {
  std::byte* at = address(plan_.place(p, lane, id));
  const auto [it, fresh] = accumulator_indices_.try_emplace(at, int(started_.size()));
  if (fresh) started_.push_back(false);
  return it->second;
}

Executor::Issue Executor::bind(const CallSite& site, int lane) {
  const Program& p = *site.program;
  const Call& call = *site.call;
  Issue issue{.call = &call,
              .run = nullptr,
              .site = sites_.size(),
              .begins_backward = false,
              .in = {},
              .out = {},
              .accumulator = {},
              .body = {},
              .starts = {}};
  for (const SlotId id : call.in) {
    static const TensorSpec kAbsent;
    const TensorSpec& spec = id == kNone ? kAbsent : p.slots[size_t(id)].spec;
    issue.in.push_back({&spec, id == kNone ? nullptr : address(plan_.place(p, lane, id))});
  }
  for (size_t k = 0; k < call.out.size(); ++k) {
    const SlotId out = call.out[k], base = call.base[k];
    Result result{.spec = &p.slots[size_t(out)].spec};
    if (plan_.placed(p, lane, out)) result.data = address(plan_.place(p, lane, out));
    if (base != kNone && result.data) result.base = address(plan_.place(p, lane, base));
    issue.out.push_back(result);
    const bool accumulates = base == out && !call.op->updates;
    issue.accumulator.push_back(accumulates ? accumulator_index(p, lane, out) : -1);
  }
  if (call.op != &kRounds) {
    const Implementation* chosen = implementation(*call.op, input_specs(p, call), call.desc,
                                                  {options_.device, options_.features});
    check(chosen && chosen->run, "[{}] has no implementation on {}", call.op->name,
          name_of(options_.device));
    issue.run = chosen->run;
    sites_.push_back(site);
  } else {
    for (size_t k = 0; k < call.out.size(); ++k) {
      issue.starts.push_back(static_cast<const std::byte*>(issue.out[k].base));
      issue.accumulator[k] = accumulator_index(p, lane, call.out[k]);
    }
    for (const Call& inner : call.body)
      issue.body.push_back(bind({&p, &inner, site.part, site.pass, true}, lane));
  }
  return issue;
}

void Executor::begin_step(int64_t step) {
  step_ = step;
  std::fill(started_.begin(), started_.end(), false);
}

void Executor::run(size_t part) {
  size_t time = 0;
  for (Issue& issue : parts_.at(part)) execute(issue, part, time);
}

void Executor::execute(Issue& issue, size_t part, size_t& time) {
  if (options_.beacon && issue.begins_backward) options_.beacon->enter(step_, Activity::backward);
  if (options_.beacon) options_.beacon->tick();
  if (issue.call->op == &kRounds) {
    rounds(issue, part, time);
    return;
  }
  for (size_t k = 0; k < issue.out.size(); ++k)
    if (const int index = issue.accumulator[k]; index >= 0) {
      issue.out[k].base = started_[size_t(index)] ? issue.out[k].data : nullptr;
      started_[size_t(index)] = true;
    }
  const bool unread =
      std::all_of(issue.out.begin(), issue.out.end(), [](const Result& r) { return !r.data; });
  if (!unread) call(issue);
  bury(part, time++);
}

void Executor::call(const Issue& issue) {
  const Args args{issue.in, issue.out, &issue.call->desc, &context_};
  if (observers_.empty()) {
    issue.run(args);
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  issue.run(args);
  const auto end = std::chrono::steady_clock::now();
  for (CallObserver* observer : observers_)
    observer->made({issue.site, context_.round, begin, end, args});
}

// Each output starts from its base (or zero), then rounds 1 … count − 1 add to it.
void Executor::rounds(Issue& issue, size_t part, size_t& time) {
  const int count = *static_cast<const int32_t*>(issue.in[0].data);
  check(count >= 1, "[rounds] count {} is below 1", count);
  for (size_t k = 0; k < issue.out.size(); ++k) {
    const Result& out = issue.out[k];
    if (!out.data) continue;
    if (!issue.starts[k])
      std::memset(out.data, 0, out.spec->bytes());
    else if (issue.starts[k] != out.data)
      std::memcpy(out.data, issue.starts[k], out.spec->bytes());
    started_[size_t(issue.accumulator[k])] = true;
  }
  const size_t first = time + 1;
  bury(part, time);
  size_t end = first;
  for (const Issue& inner : issue.body) end += 1 + (inner.call->op == &kRounds);
  for (context_.round = 1; context_.round < count; ++context_.round) {
    time = first;
    for (Issue& inner : issue.body) execute(inner, part, time);
  }
  context_.round = 0;
  time = end;
  bury(part, time++);
}

void Executor::bury(size_t part, size_t time) {
  if (!options_.poison) return;
  for (const Place& place : plan_.freed[part][time]) std::memset(address(place), 0xFF, place.bytes);
}

size_t Executor::high_water() const {
  const Buffer& arena = arenas_[size_t(Arena::activations)];
  size_t n = arena.size();
  while (n && arena.data()[n - 1] == options_.canary) --n;
  return n;
}

}  // namespace birkhoff
