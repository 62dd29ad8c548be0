#include "engine/execute/call_times.h"

#include <algorithm>
#include <map>

namespace birkhoff {

void CallTimes::made(const CallMade& call) {
  Timing& t = sums_[call.site];
  ++t.calls;
  t.seconds += std::chrono::duration<double>(call.end - call.begin).count();
}

std::vector<CallTimes::Timing> CallTimes::by_operator() const {
  std::map<std::string_view, Timing> named;
  for (size_t i = 0; i < sites_.size(); ++i) {
    if (sums_[i].calls == 0) continue;
    Timing& t = named[sites_[i].call->op->name];
    t.name = sites_[i].call->op->name;
    t.calls += sums_[i].calls, t.seconds += sums_[i].seconds;
  }
  std::vector<Timing> all;
  for (const auto& [name, timing] : named) all.push_back(timing);
  std::sort(all.begin(), all.end(),
            [](const Timing& a, const Timing& b) { return a.seconds > b.seconds; });
  return all;
}

}  // namespace birkhoff
