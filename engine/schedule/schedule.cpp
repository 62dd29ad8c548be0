#include "engine/schedule/schedule.h"

namespace birkhoff {

SchedulePart micro_batch_part(const Program& p) {
  return {
      "micro_batch",
      {{{&p, &p.forward}},
       {{&p, &p.input_gradient}, {.program = &p, .list = &p.weight_gradient, .follows = true}}}};
}

SchedulePart forward_part(const std::string& name, const Program& p) {
  return {name, {{{&p, &p.forward}}}};
}

SchedulePart update_part(const Program& p) { return {"update", {{{&p, &p.update}}}}; }

}  // namespace birkhoff
