#include "comm/watch/judge.h"

#include <algorithm>

#include "base/format.h"

namespace birkhoff {

Sign sign_of(const Beacon::Snapshot& s) {
  return {.step = s.step,
          .activity = s.activity,
          .sequence = s.last.sequence,
          .operation = s.last.operation,
          .bytes = s.last.bytes,
          .waiting = s.waiting,
          .ticks = s.ticks};
}

Judge::Judge(int ranks, double now)
    : of_(size_t(ranks), Rank{.sign = {}, .heard_at = now, .changed_at = now}) {}

void Judge::heard(int rank, double now, const Sign& sign) {
  Rank& r = of_[size_t(rank)];
  if (!r.heard || sign.ticks != r.sign.ticks) r.changed_at = now;
  r.sign = sign;
  r.heard_at = now;
  r.heard = true;
}

void Judge::lost(int rank) { of_[size_t(rank)].lost = true; }
void Judge::finished(int rank) { of_[size_t(rank)].finished = true; }

std::optional<Judgement> Judge::absent(double now, double timeout) const {
  const auto first = [&](Fault fault, const auto& holds) -> std::optional<Judgement> {
    for (size_t r = 0; r < of_.size(); ++r)
      if (holds(of_[r])) return Judgement{fault, int(r)};
    return std::nullopt;
  };
  if (auto j = first(Fault::dead, [](const Rank& r) { return r.lost; })) return j;
  return first(Fault::silent, [&](const Rank& r) { return now - r.heard_at >= timeout; });
}

std::optional<Judgement> Judge::judge(double now, double timeout) const {
  if (const auto gone = absent(now, timeout)) return gone;
  const auto longest = std::max_element(of_.begin(), of_.end(), [](const Rank& a, const Rank& b) {
    const auto stuck_for = [](const Rank& r) {
      return r.finished || r.sign.waiting ? -1 : r.still();
    };
    return stuck_for(a) < stuck_for(b);
  });
  if (!longest->finished && !longest->sign.waiting && longest->still() >= timeout)
    return Judgement{Fault::stuck, int(longest - of_.begin())};
  return deadlock(timeout);
}

std::optional<Judgement> Judge::deadlock(double timeout) const {
  for (const Rank& r : of_)
    if (!r.finished && !(r.sign.waiting && r.still() >= timeout)) return std::nullopt;
  if (done()) return std::nullopt;
  const auto late = std::min_element(of_.begin(), of_.end(), [](const Rank& a, const Rank& b) {
    return a.sign.sequence < b.sign.sequence;
  });
  return Judgement{Fault::deadlock, int(late - of_.begin())};
}

bool Judge::done() const {
  return std::all_of(of_.begin(), of_.end(), [](const Rank& r) { return r.finished; });
}

std::string Judge::last_collective(int rank, double now) const {
  const Rank& r = of_[size_t(rank)];
  if (!r.heard) return "was never heard from";
  std::string text = r.sign.sequence == 0
                         ? "has called no collective"
                         : fmt::format("last collective: sequence {}, {}, {} bytes",
                                       r.sign.sequence, r.sign.operation, r.sign.bytes);
  if (r.finished) return text + ", finished";
  if (r.sign.waiting) return text + fmt::format(", waiting for {:.1f} s", now - r.changed_at);
  return text + (r.sign.sequence ? ", done" : "");
}

}  // namespace birkhoff
