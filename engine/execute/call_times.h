#pragma once
// Seconds spent in each operator since the start, for `birkhoff train --profile`.
#include <span>
#include <string_view>
#include <vector>

#include "engine/execute/call_observer.h"

namespace birkhoff {

class CallTimes final : public CallObserver {
 public:
  // REQUIRES the sites of an executor; they outlive this object.
  explicit CallTimes(std::span<const CallSite> sites) : sites_(sites), sums_(sites.size()) {}
  void made(const CallMade& call) override;

  struct Timing {
    std::string_view name;
    int64_t calls = 0;
    double seconds = 0;
  };
  std::vector<Timing> by_operator() const;  // longest first

 private:
  std::span<const CallSite> sites_;
  std::vector<Timing> sums_;  // by site
};

}  // namespace birkhoff
