#include "comm/local/one_rank.h"

#include "comm/call.h"

namespace birkhoff {

Pending OneRank::start(const CommCall& call) {
  check_call(call, 0, 1);
  copy_own(call, 0, 1);
  return Pending();
}

std::unique_ptr<Communicator> OneRank::group(std::span<const int> ranks) {
  if (ranks.empty()) return nullptr;
  check(ranks.size() == 1 && ranks[0] == 0, "[group] of {} ranks, but there is only one rank",
        ranks.size());
  return std::make_unique<OneRank>();
}

}  // namespace birkhoff
