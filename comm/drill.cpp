#include "comm/drill.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/beacon.h"

namespace birkhoff {
namespace {

constexpr std::array<std::string_view, 7> kKinds = {"throw", "segv", "abort", "exit",
                                                    "kill",  "stop", "loop"};
constexpr std::array<std::string_view, 8> kCollectives = {
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all",
    "broadcast",  "send",       "receive",        "barrier"};

// A killed or stopped process reports nothing more: the others know only its last heartbeat (4 per
// second). The drill lets one pass, so that its line names the place that was ordered.
constexpr auto kOneHeartbeat = std::chrono::milliseconds(600);

template <class Names>
std::string listed(const Names& names) {
  std::string text;
  for (const std::string_view name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

template <class Names>
bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string_view> places() {
  std::vector<std::string_view> all;
  for (int i = 0; i < kActivities; ++i) all.push_back(name_of(Activity(i)));
  all.insert(all.end(), kCollectives.begin(), kCollectives.end());
  return all;
}

[[noreturn]] void refuse(const std::string& why) {
  throw ConfigError(
      fmt::format("--drill: {}; for example: rank=1,step=3,at=backward,kind=throw[,count=2]", why));
}

int64_t number(std::string_view key, std::string_view text, int64_t least) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least ||
      value > INT32_MAX)
    refuse(fmt::format("{}={} is not a number from {} to {}", key, printable(text, 40), least,
                       INT32_MAX));
  return value;
}

std::string_view one_of(std::string_view key, std::string_view value, const auto& names) {
  if (!has(names, value))
    refuse(fmt::format("{}={} is not one of {}", key, printable(value, 40), listed(names)));
  return value;
}

}  // namespace

Drill::Drill(std::string_view text) {
  std::vector<std::string_view> seen;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, end - begin);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      refuse(fmt::format("'{}' is not of the form key=value", printable(item, 40)));
    const std::string_view key = item.substr(0, equals);
    if (has(seen, key)) refuse(fmt::format("{} is given twice", printable(key, 40)));
    seen.push_back(key);
    set(key, item.substr(equals + 1));
    begin = end + 1;
  }
  for (const std::string_view key : {"rank", "at", "kind"})
    if (!has(seen, key)) refuse(fmt::format("{} is missing", key));
}

void Drill::set(std::string_view key, std::string_view value) {
  if (key == "rank")
    rank_ = number(key, value, 0);
  else if (key == "step")
    step_ = number(key, value, 0);
  else if (key == "count")
    count_ = number(key, value, 1);
  else if (key == "at")
    place_ = one_of(key, value, places());
  else if (key == "kind")
    kind_ = one_of(key, value, kKinds);
  else
    refuse(fmt::format("unknown key '{}'; the keys are rank, step, at, kind and count",
                       printable(key, 40)));
}

void Drill::at(int rank, int64_t step, std::string_view place) {
  if (rank != rank_ || (step_ && step != *step_) || place != place_) return;
  if (--count_ == 0) act();
}

void Drill::act() const {
  if (kind_ == "throw") throw InternalError("thrown by --drill");
  if (kind_ == "segv") std::raise(SIGSEGV);
  if (kind_ == "abort") std::abort();
  if (kind_ == "loop")
    for (std::atomic<bool> forever{true}; forever.load(std::memory_order_relaxed);) continue;
  std::this_thread::sleep_for(kOneHeartbeat);
  if (kind_ == "exit") std::exit(0);
  std::raise(kind_ == "stop" ? SIGSTOP : SIGKILL);
}

}  // namespace birkhoff
