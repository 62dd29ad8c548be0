#include "engine/plan/listing.h"

#include "base/format.h"
#include "engine/plan/cost.h"

namespace birkhoff {
namespace {

std::string describe(const Program& p, SlotId id) {
  if (id == kNone) return "-";
  const Slot& s = p.slots[size_t(id)];
  constexpr std::string_view kSigils[] = {"@", "$", "∂", "<", "#", ">", "%"};
  return fmt::format("{}{}:{}", kSigils[size_t(s.kind)],
                     s.name.empty() ? std::to_string(id) : s.name, to_string(s.spec));
}

std::string line(const Program& p, const Call& call, const std::string& indent) {
  std::string in, out;
  for (const SlotId id : call.in) in += " " + describe(p, id);
  for (size_t k = 0; k < call.out.size(); ++k) {
    const SlotId id = call.out[k], base = call.base[k];
    out += " " + describe(p, id);
    if (base != kNone) out += base == id ? " +=" : fmt::format(" + {}", describe(p, base));
  }
  const Cost c = cost(p, call);
  return fmt::format("{:<12} {:<4}{:<28}{:>12.0f} flop {:>10.0f} B {} ← {}{}{}\n",
                     to_string(call.phase),
                     call.segment == kNone ? "-" : fmt::format("r{}", call.segment),
                     fmt::format("{}{}", indent, call.op->name), c.flops, c.bytes, out, in,
                     call.desc.text().empty() ? "" : "  | ", call.desc.text());
}

void print(const Program& p, const List& list, const std::string& indent, std::string& text) {
  for (const Call& call : list) {
    text += line(p, call, indent);
    print(p, call.body, indent + "  ", text);
  }
}

std::string line(const Turn& turn) {
  std::string waits;
  for (const Wait& w : turn.waits) waits += fmt::format(" {}{}", w.event, w.earlier ? "'" : "");
  constexpr std::string_view kCopies[] = {"", "upload", "count", "download"};
  return fmt::format(
      "{:<14}{:<20} {:<10} {}", name_of(turn.stream), waits.empty() ? "" : "after" + waits,
      turn.record == kNone ? "" : fmt::format("event {}", turn.record),
      turn.what == Turn::What::call ? line(*turn.program, *turn.call, "")
                                    : fmt::format("{:<17}{} {}\n", "", kCopies[size_t(turn.what)],
                                                  describe(*turn.program, turn.slot)));
}

}  // namespace

std::string listing(const Program& p) {
  std::string text;
  const std::pair<const char*, const List*> lists[] = {{"forward", &p.forward},
                                                       {"input gradients", &p.input_gradient},
                                                       {"weight gradients", &p.weight_gradient},
                                                       {"update, once per step", &p.update}};
  for (const auto& [name, list] : lists) {
    if (list->empty()) continue;
    text += fmt::format("-- {}\n", name);
    print(p, *list, "", text);
  }
  return text;
}

std::string listing(const Schedule& schedule, const StreamPlan& streams) {
  std::string text;
  for (size_t part = 0; part < schedule.size(); ++part) {
    text += fmt::format("-- {}\n", schedule[part].name);
    for (const Turn& turn : streams.parts[part]) text += line(turn);
  }
  return text;
}

}  // namespace birkhoff
