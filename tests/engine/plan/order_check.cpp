#include "tests/engine/plan/order_check.h"

#include <algorithm>
#include <map>

namespace birkhoff::testing {
namespace {

class Toucher {
 public:
  Toucher(const Plan& plan, const Turn& t) : plan_(plan), turn_(t) {
    if (t.what == Turn::What::call)
      of(*t.call);
    else
      add(t.slot, t.what == Turn::What::upload);
  }
  std::vector<Touched> bytes;

 private:
  bool has_memory(SlotId id) const { return plan_.placed(*turn_.program, turn_.lane, id); }
  void add(SlotId id, bool written) {
    const Place at = plan_.place(*turn_.program, turn_.lane, id);
    bytes.push_back({int(at.arena),
                     at.offset,
                     at.offset + at.bytes,
                     written,
                     {turn_.program, turn_.lane, turn_.program->root(id)}});
  }
  void of(const Call& call) {
    bool made = false;
    for (const SlotId id : call.out) made |= has_memory(id);
    if (!made) return;
    for (const SlotId id : call.in)
      if (id != kNone) add(id, false);
    for (size_t k = 0; k < call.out.size(); ++k) {
      if (!has_memory(call.out[k])) continue;
      if (call.base[k] != kNone) add(call.base[k], false);
      if (turn_.program->slots[size_t(call.out[k])].view_of == kNone) add(call.out[k], true);
    }
    if (call.op->communicates) bytes.push_back({kArenas, 0, 1, true, {}});
    for (const Call& inner : call.body) of(inner);
  }
  const Plan& plan_;
  const Turn& turn_;
};

bool conflict(const std::vector<Touched>& a, const std::vector<Touched>& b, bool by_reuse = true) {
  for (const Touched& x : a)
    for (const Touched& y : b)
      if (x.arena == y.arena && (x.written || y.written) && x.begin < y.end && y.begin < x.end)
        if (by_reuse || x.arena != int(Arena::activations) || x.slot == y.slot) return true;
  return false;
}

// The host delays a rounds node until it has the count.
bool counts(const Turn& x, const Turn& y) {
  return x.what == Turn::What::count && y.what == Turn::What::call && y.call == x.call &&
         y.lane == x.lane;
}

// Row b holds the turns that are before b.
class Before {
 public:
  explicit Before(size_t n) : rows_(n, std::vector<uint64_t>((n + 63) / 64)) {}
  void follows(size_t b, size_t a) {
    for (size_t w = 0; w < rows_[b].size(); ++w) rows_[b][w] |= rows_[a][w];
    rows_[b][a / 64] |= uint64_t(1) << a % 64;
  }
  bool operator()(size_t a, size_t b) const { return rows_[b][a / 64] >> a % 64 & 1; }

 private:
  std::vector<std::vector<uint64_t>> rows_;
};

std::string words(const Turn& t) {
  constexpr std::string_view kWhat[] = {"", "upload of", "count of", "download of"};
  return fmt::format("{} {} on {}", kWhat[size_t(t.what)],
                     t.call ? fmt::format("{} → %{}", t.call->op->name, t.call->out[0])
                            : fmt::format("%{}", t.slot),
                     name_of(t.stream));
}

}  // namespace

std::vector<Touched> touched(const Plan& plan, const Turn& turn) {
  return Toucher(plan, turn).bytes;
}

std::vector<History> histories(size_t parts, size_t longest) {
  std::vector<History> all, last = {{}};
  for (size_t n = 0; n < longest; ++n) {
    std::vector<History> next;
    for (const History& h : last)
      for (size_t part = 0; part < parts; ++part) {
        next.push_back(h);
        next.back().push_back(part);
      }
    all.insert(all.end(), next.begin(), next.end());
    last = std::move(next);
  }
  return all;
}

OrderCheck::OrderCheck(const Plan& plan, const StreamPlan& streams, const History& history) {
  std::map<const Turn*, std::vector<Touched>> bytes;
  std::map<std::pair<const Turn*, const Turn*>, bool> known;
  for (const auto& part : streams.parts)
    for (const Turn& t : part) bytes[&t] = touched(plan, t);
  for (const size_t part : history)
    for (size_t t = 0; t < streams.parts[part].size(); ++t) instances_.push_back({part, t});
  for (size_t b = 0; b < instances_.size(); ++b)
    for (size_t a = 0; a < b; ++a) {
      const Turn &x = turn(streams, a), &y = turn(streams, b);
      const auto [it, fresh] = known.try_emplace({&x, &y});
      if (fresh) it->second = conflict(bytes[&x], bytes[&y]) || counts(x, y);
      if (it->second) pairs_.emplace_back(a, b);
    }
}

std::string OrderCheck::fault(const StreamPlan& streams) const {
  Before before(instances_.size());
  std::map<int, size_t> recorded;  // event → the instance that recorded it last
  std::map<Stream, size_t> last;
  for (size_t b = 0; b < instances_.size(); ++b) {
    const Turn& t = turn(streams, b);
    if (last.count(t.stream)) before.follows(b, last[t.stream]);
    last[t.stream] = b;
    for (const Wait& w : t.waits)
      if (recorded.count(w.event)) before.follows(b, recorded[w.event]);
    if (t.record != kNone) recorded[t.record] = b;
  }
  for (const auto& [a, b] : pairs_)
    if (!before(a, b))
      return fmt::format("{} (turn {} of all) and {} (turn {}) are not ordered",
                         words(turn(streams, a)), a, words(turn(streams, b)), b);
  return "";
}

std::string fault(const Plan& plan, const StreamPlan& streams,
                  const std::vector<History>& histories) {
  for (const History& h : histories)
    if (const std::string f = OrderCheck(plan, streams, h).fault(streams); !f.empty())
      return fmt::format("parts {}: {}", fmt::join(h, " "), f);
  return "";
}

std::string reuse_fault(const Plan& plan, const StreamPlan& streams, size_t part) {
  const std::vector<Turn>& turns = streams.parts[part];
  std::vector<std::vector<Touched>> bytes;
  for (const Turn& t : turns) bytes.push_back(touched(plan, t));
  Before before(turns.size());
  for (size_t b = 0; b < turns.size(); ++b)
    for (size_t a = 0; a < b; ++a)
      if (turns[a].stream == turns[b].stream || counts(turns[a], turns[b]) ||
          conflict(bytes[a], bytes[b], false))
        before.follows(b, a);
  for (size_t b = 0; b < turns.size(); ++b)
    for (size_t a = 0; a < b; ++a)
      if (conflict(bytes[a], bytes[b]) && !before(a, b))
        return fmt::format("{} and {} share memory at one time", words(turns[a]), words(turns[b]));
  return "";
}

std::vector<std::string> needless_waits(const Plan& plan, const StreamPlan& streams) {
  std::vector<OrderCheck> checks;
  for (const History& h : histories(streams.parts.size(), 2)) checks.emplace_back(plan, streams, h);
  std::vector<std::string> needless;
  for (size_t part = 0; part < streams.parts.size(); ++part)
    for (size_t i = 0; i < streams.parts[part].size(); ++i)
      for (size_t w = 0; w < streams.parts[part][i].waits.size(); ++w) {
        StreamPlan less = streams;
        auto& waits = less.parts[part][i].waits;
        waits.erase(waits.begin() + long(w));
        const bool missed = std::any_of(checks.begin(), checks.end(), [&](const OrderCheck& check) {
          return !check.fault(less).empty();
        });
        if (!missed)
          needless.push_back(fmt::format("part {}, turn {}, {}: event {}", part, i,
                                         words(streams.parts[part][i]),
                                         streams.parts[part][i].waits[w].event));
      }
  return needless;
}

}  // namespace birkhoff::testing
