#include "tests/cuda/emulator/schedule.h"

#include "base/format.h"

namespace birkhoff::emulator {

std::string to_string(const Schedule& s) {
  constexpr const char *kOrders[] = {"fifo", "lifo", "random"},
                       *kCompletions[] = {"early", "late", "random"};
  return fmt::format("order {}, copies {}, streams {}, seed {}", kOrders[int(s.order)],
                     kCompletions[int(s.completion)], s.lazy ? "lazy" : "eager", s.seed);
}

std::vector<Schedule> schedules() {
  std::vector<Schedule> all;
  for (const Order order : {Order::fifo, Order::lifo, Order::random})
    for (const Completion completion : {Completion::early, Completion::late, Completion::random})
      all.push_back({order, completion, all.size() % 2 == 1, 11 + all.size()});
  return all;
}

}  // namespace birkhoff::emulator
