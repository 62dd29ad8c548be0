#pragma once
// The time of every operator at every shape, inside real steps: what `birkhoff bench` counts.
//
//   OperatorTimes times(executor.sites(), micro_batches);
//   executor.observe(times);
//   for (…) { session.step(…); times.close_step(); }
//   times.rows()
//
// Not thread-safe.
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/execute/call_observer.h"
#include "engine/plan/cost.h"

namespace birkhoff {

// Calls of one operator with the same inputs, outputs and desc.
struct OperatorRow {
  const Operator* op = nullptr;
  std::string shapes, desc;   // "bf16[8,4] f32[6,4] → bf16[8,6]"; an input that is absent: "-"
  bool bf16_factors = false;  // operator_kinds.h
  Cost planned;               // of a call, as `birkhoff plan` counts it
  Cost done = {};             // of all calls together: of the rows that they had (Operator::rows)
  std::vector<float> seconds = {};   // of each call, of all steps
  std::vector<double> in_step = {};  // their sum by step
};

class OperatorTimes final : public CallObserver {
 public:
  // REQUIRES sites, an executor's, outlive it. Of a step of so many micro-batches nothing is
  // allocated before it is closed, but for further rounds of experts.
  OperatorTimes(std::span<const CallSite> sites, int64_t micro_batches);
  void made(const CallMade& call) override;
  void close_step();

  const std::vector<OperatorRow>& rows() const { return rows_; }
  int64_t further_rounds() const { return further_rounds_; }  // calls that no plan counts

 private:
  struct Event {
    size_t site;
    int64_t rows;  // −1: of an operator without Operator::rows
    float seconds;
    bool further;
  };
  Cost cost_of(const Event& event) const;

  std::span<const CallSite> sites_;
  std::vector<size_t> row_of_;  // by site
  std::vector<OperatorRow> rows_;
  std::vector<Event> events_;  // of the step that is not closed
  int64_t further_rounds_ = 0;
};

}  // namespace birkhoff
