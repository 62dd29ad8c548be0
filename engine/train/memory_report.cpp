#include "engine/train/memory_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/plan/cost.h"
#include "engine/train/session.h"

namespace birkhoff {
namespace {

constexpr size_t kMiB = size_t(1) << 20;

// The largest resident set less the plan, measured on Debian 12: 5.2 MiB of binary and libraries, 8
// MiB in a run of 55 thousand parameters (traces, plan, data, a checkpoint's manifest), 15 MiB with
// the traces of 27B, whose manifest adds a few MiB of hashes.
constexpr size_t kProgramReserve = 32 * kMiB;
constexpr size_t kThreadReserve = 1 * kMiB;  // touched stack and allocator arena per thread

MemoryItem arena(Arena a, const Plan& plan, const char* note) {
  return {std::string(name_of(a)), note, plan.bytes(a)};
}

void add_cost(const Program& p, const List& list, MemoryReport& report) {
  for (const Call& call : list) {
    if (call.op == &kRounds) continue;  // rounds beyond the first: nearly always none
    const Cost c = cost(p, call);
    report.flops += c.flops, report.traffic += c.bytes;
  }
}

std::string human(size_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  return unit ? fmt::format("{:.2f} {}", value, units[unit]) : fmt::format("{} B", bytes);
}

}  // namespace

MemoryReport plan_run(const Config& config, int threads, int ranks, size_t data_bytes,
                      const Heartbeat& alive) {
  const SessionPrograms programs(config, alive);
  const Program& train = programs.train;
  const Plan plan = plan_memory(programs.schedule, alive);
  const auto summed = summed_tensors(train, plan, nullptr);
  size_t sums = 0;  // ranks at the ends of the tree may hold less than others
  for (int rank = 0; rank < ranks; ++rank)
    sums = std::max(sums, GroupSum::bytes(summed, reduction_groups_of(config, ranks), rank, ranks));

  MemoryReport r;
  r.parameters = count_parameters(config);
  r.arenas = {arena(Arena::parameters, plan, "fp32"),
              arena(Arena::accumulators, plan, "gradients fp32, expert load, loss"),
              arena(Arena::state, plan, "AdamW moments fp32, balancing bias"),
              arena(Arena::io, plan, "tokens, targets, scores"),
              arena(Arena::activations, plan, "of one micro-batch, with memory reused"),
              {"workspace", "scratch memory of the largest call, shared and per thread",
               plan.workspace.shared + plan.workspace.per_thread * size_t(threads)},
              {"group sums", "sums over groups of micro-batches, and their exchange", sums}};
  const size_t batch = size_t(config.train.micro_batch * config.train.sequence) * 4 * 4;
  r.reserve = {{"program", "binary and libraries", kProgramReserve},
               {"threads", "stacks", kThreadReserve * size_t(threads + 2)},
               {"batches", "loaded ahead", batch * size_t(config.data.prefetch + 2)},
               {"data", "positions of documents, tokenizer", data_bytes}};
  for (const MemoryItem& item : r.arenas) r.planned += item.bytes;
  r.total = r.planned;
  for (const MemoryItem& item : r.reserve) r.total += item.bytes;
  r.activation_floor = plan.activation_floor;
  for (const List* list : {&train.forward, &train.input_gradient, &train.weight_gradient})
    add_cost(train, *list, r);
  return r;
}

std::string to_table(const MemoryReport& r) {
  std::string text =
      fmt::format("parameters  {} total, {} active, {} of hyper-connections\n", r.parameters.total,
                  r.parameters.active, r.parameters.hyper_connections);
  const auto row = [&](const MemoryItem& item) {
    text += fmt::format("  {:<14}{:>14}  {:>18} B   {}\n", item.name, human(item.bytes), item.bytes,
                        item.note);
  };
  text += "planned, exact to the byte\n";
  for (const MemoryItem& item : r.arenas) row(item);
  row({"planned", "", r.planned});
  text += "reserve, an upper bound\n";
  for (const MemoryItem& item : r.reserve) row(item);
  row({"total", "per rank", r.total});
  text += fmt::format(
      "activations need at least {} at one time; a micro-batch takes {:.3g} flop and moves {:.3g} "
      "B\n",
      human(r.activation_floor), r.flops, r.traffic);
  return text;
}

std::string to_json(const MemoryReport& r) {
  nlohmann::ordered_json j;
  j["parameters"] = {{"total", r.parameters.total},
                     {"active", r.parameters.active},
                     {"mhc", r.parameters.hyper_connections}};  // a name that scripts know
  const auto items = [](const std::vector<MemoryItem>& list) {
    nlohmann::ordered_json o;
    for (const MemoryItem& item : list) o[item.name] = item.bytes;
    return o;
  };
  j["memory"] = {{"arenas", items(r.arenas)},
                 {"planned", r.planned},
                 {"reserve", items(r.reserve)},
                 {"total", r.total},
                 {"activation_floor", r.activation_floor}};
  j["micro_batch"] = {{"flops", r.flops}, {"bytes", r.traffic}};
  return j.dump(2);
}

void require_memory(const MemoryReport& report, size_t available) {
  if (report.total <= available) return;
  throw ResourceError(
      fmt::format("the run needs {} of memory, but this machine has {}; lower train.micro_batch or "
                  "train.sequence, set train.recompute: auto, or choose a smaller model\n{}",
                  human(report.total), human(available), to_table(report)));
}

}  // namespace birkhoff
