#pragma once
// Measures every operator at every shape, inside real steps, for `birkhoff bench`.
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
  std::string shapes, desc;         // "bf16[8,4] f32[6,4] → bf16[8,6]"; an absent input is "-"
  bool bf16_factors = false;        // operator_kinds.h
  Cost planned;                     // per call, as `birkhoff plan` counts it
  Cost done = {};                   // of all calls together, for the rows they had (Operator::rows)
  std::vector<float> seconds = {};  // of each call, in all steps
  std::vector<double> in_step = {};  // their sum per step
};

class OperatorTimes final : public CallObserver {
 public:
  // REQUIRES the sites of an executor; they outlive this object. A step of `micro_batches`
  // micro-batches allocates nothing before it is closed, except for further rounds of experts.
  OperatorTimes(std::span<const CallSite> sites, int64_t micro_batches);
  void made(const CallMade& call) override;
  void close_step();

  const std::vector<OperatorRow>& rows() const { return rows_; }
  int64_t further_rounds() const { return further_rounds_; }  // calls that no plan counts

 private:
  struct Event {
    size_t site;
    int64_t rows;  // −1: the operator has no Operator::rows
    float seconds;
    bool further;
  };
  Cost cost_of(const Event& event) const;

  std::span<const CallSite> sites_;
  std::vector<size_t> row_of_;  // by site
  std::vector<OperatorRow> rows_;
  std::vector<Event> events_;  // of the current step
  int64_t further_rounds_ = 0;
};

}  // namespace birkhoff
