#include "comm/signature.h"

#include "base/error.h"

namespace birkhoff {
namespace {

std::string ordinal(int64_t n) {
  const int64_t last = n % 10;
  const bool teen = n / 10 % 10 == 1;
  return fmt::format("{}{}", n,
                     teen        ? "th"
                     : last == 1 ? "st"
                     : last == 2 ? "nd"
                     : last == 3 ? "rd"
                                 : "th");
}

// The call as seen by its sender, or by the receiver of the same message.
std::string describe(const Signature& s, bool sender) {
  const bool message = s.operation == Collective::send;
  std::string text = message && !sender ? "receive" : name_of(s.operation);
  if (s.reduction == Reduction::max) text += " (max)";
  if (s.operation != Collective::barrier)
    text += fmt::format(" of {} {}", s.count, name_of(s.dtype));
  if (s.operation == Collective::broadcast) text += fmt::format(" from rank {}", s.root);
  if (message || s.operation == Collective::all_to_all)
    text += sender ? fmt::format(" to rank {}", s.to) : fmt::format(" from rank {}", s.from);
  return text + fmt::format(" (its {} {} in group {})", ordinal(s.sequence),
                            !message ? "call"
                            : sender ? "message to that rank"
                                     : "message from that rank",
                            s.group);
}

}  // namespace

std::string mismatch(const Signature& arrived, const Signature& expected) {
  return fmt::format("ranks are in different calls: rank {} is in {}, rank {} in {}", arrived.from,
                     describe(arrived, true), expected.to, describe(expected, false));
}

}  // namespace birkhoff
