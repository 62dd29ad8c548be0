#include "engine/train/operator_times.h"

#include <tuple>

#include "engine/train/operator_kinds.h"

namespace birkhoff {
namespace {

std::string shapes_of(const Program& p, const Call& call) {
  std::string text;
  for (const SlotId id : call.in)
    text += (id == kNone ? "-" : to_string(p.slots[size_t(id)].spec)) + " ";
  text += "→";
  for (const SlotId id : call.out) text += " " + to_string(p.slots[size_t(id)].spec);
  return text;
}

}  // namespace

OperatorTimes::OperatorTimes(std::span<const CallSite> sites, int64_t micro_batches)
    : sites_(sites) {
  std::map<std::tuple<const Operator*, std::string, std::string>, size_t> known;
  for (const CallSite& site : sites) {
    const Call& call = *site.call;
    OperatorRow row{.op = call.op,
                    .shapes = shapes_of(*site.program, call),
                    .desc = call.desc.text(),
                    .planned = cost(*site.program, call)};
    row.bf16_factors = multiplies_bf16(*call.op, input_specs(*site.program, call), call.desc);
    const auto [it, fresh] =
        known.try_emplace(std::tuple(row.op, row.shapes, row.desc), rows_.size());
    if (fresh) rows_.push_back(std::move(row));
    row_of_.push_back(it->second);
  }
  events_.reserve(size_t(micro_batches) * sites.size());
}

void OperatorTimes::made(const CallMade& call) {
  const auto rows = sites_[call.site].call->op->rows;
  events_.push_back({.site = call.site,
                     .rows = rows ? rows(call.args) : -1,
                     .seconds = std::chrono::duration<float>(call.end - call.begin).count(),
                     .further = call.round > 0});
}

Cost OperatorTimes::cost_of(const Event& event) const {
  if (event.rows < 0) return rows_[row_of_[event.site]].planned;
  const CallSite& site = sites_[event.site];
  auto in = input_specs(*site.program, *site.call);
  const int64_t all = in[0].shape[0];
  for (TensorSpec& spec : in)
    if (spec.shape.size() == 2 && spec.shape[0] == all) spec.shape[0] = event.rows;
  return cost(*site.call->op, in, site.call->desc);
}

void OperatorTimes::close_step() {
  for (OperatorRow& row : rows_) row.in_step.push_back(0);
  for (const Event& event : events_) {
    OperatorRow& row = rows_[row_of_[event.site]];
    const Cost c = cost_of(event);
    row.done.flops += c.flops, row.done.bytes += c.bytes;
    row.seconds.push_back(event.seconds);
    row.in_step.back() += double(event.seconds);
    further_rounds_ += event.further;
  }
  events_.clear();
}

}  // namespace birkhoff
