#pragma once
// A schedule is data; the planner and the executor walk the same one, so the plan cannot differ
// from the run. Lanes are micro-batches in flight: each has its own activations at its own fixed
// offsets; parameters, state and accumulators are shared.
#include <string>
#include <vector>

#include "engine/autograd/program.h"

namespace birkhoff {

struct Cursor {  // a position in one list of one program, for one lane
  const Program* program;
  const List* list;
  int lane = 0;
  bool follows = false;  // runs each phase right after the previous cursor has run that phase
  size_t at = 0;
  bool done() const { return at == list->size(); }
  Phase phase() const { return (*list)[at].phase; }
};

// Lists walked together, one phase of each in turn.
//   {F(1), B(0)}              overlap
//   {B(0), follows W(0)}      weight gradients at once: least memory
using Together = std::vector<Cursor>;

// What the executor runs in one go, e.g. a micro-batch or an update. Parts run one after another,
// any number of times, in any order; activations do not outlive the run of their part.
struct SchedulePart {
  std::string name;
  std::vector<Together> steps;
};
using Schedule = std::vector<SchedulePart>;

// A micro-batch on one rank: forward, then backward with each phase's weight gradients right after
// it.
SchedulePart micro_batch_part(const Program& program);
SchedulePart forward_part(const std::string& name, const Program& program);
SchedulePart update_part(const Program& program);

template <class Visit>  // visit(cursor, call), in issue order
void walk(const SchedulePart& part, Visit visit) {
  for (Together together : part.steps)
    for (bool more = true; more;) {
      more = false;
      bool led = false;  // whether the previous cursor ran a phase in this pass; `lead` says which
      Phase lead;
      for (Cursor& c : together) {
        if (c.done()) {
          led = false;
          continue;
        }
        const Phase phase = c.phase();
        if (!c.follows || !led || lead == phase)
          while (!c.done() && c.phase() == phase) visit(c, (*c.list)[c.at++]);
        more |= !c.done();
        led = true, lead = phase;
      }
    }
}

}  // namespace birkhoff
