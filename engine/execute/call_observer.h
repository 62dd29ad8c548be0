#pragma once
// Observers of every operator call that an executor makes: for train's --profile and --trace, and
// for `birkhoff bench`. Without observers nothing is timed.
#include <chrono>
#include <string_view>

#include "engine/autograd/program.h"

namespace birkhoff {

enum class Pass { forward, backward, weight_gradient, update };
inline std::string_view name_of(Pass pass) {
  constexpr std::string_view kNames[] = {"forward", "backward", "weight_gradient", "update"};
  return kNames[size_t(pass)];
}

// A call as its executor has bound it. Its number is its index in Executor::sites().
struct CallSite {
  const Program* program;
  const Call* call;
  size_t part;  // index in the schedule
  Pass pass;
  bool further_rounds;  // in a rounds node: called once per round beyond the first
};

struct CallMade {
  size_t site;
  int round;
  std::chrono::steady_clock::time_point begin, end;
  const Args& args;
};

class CallObserver {
 public:
  // Called by the rank's thread between two calls; to allocate here is to allocate in a step. Calls
  // whose outputs nobody reads are skipped and not reported.
  virtual void made(const CallMade& call) = 0;

 protected:
  ~CallObserver() = default;
};

}  // namespace birkhoff
