#include "engine/train/trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/format.h"
#include "base/system_error.h"
#include "engine/plan/cost.h"

namespace birkhoff {
namespace {

constexpr size_t kMostCalls = size_t(1) << 18, kMostSpans = size_t(1) << 16;
constexpr size_t kChunk = size_t(1) << 20;  // bytes per write
enum Track { kActivity, kOperators, kCommunication };

int64_t nanoseconds(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}
int64_t steady_clock() { return nanoseconds(std::chrono::steady_clock::now()); }

// Writes all digits, so that rounding cannot make touching slices overlap.
std::string microseconds(int64_t ns) {
  return fmt::format("{}{}.{:03}", ns < 0 ? "-" : "", std::abs(ns) / 1000, std::abs(ns) % 1000);
}

std::string specs(const Program& p, const std::vector<SlotId>& ids) {
  std::string text;
  for (const SlotId id : ids)
    text += (text.empty() ? "" : " ") + (id == kNone ? "-" : to_string(p.slots[size_t(id)].spec));
  return text;
}

// The args that all slices of a site share.
std::string args_of(const CallSite& site) {
  const Call& call = *site.call;
  const Cost c = cost(*site.program, call);
  return fmt::format(
      "\"phase\":\"{}\",\"in\":\"{}\",\"out\":\"{}\",\"desc\":\"{}\",\"flops\":{:.0f},"
      "\"bytes\":{:.0f}",
      to_string(call.phase), specs(*site.program, call.in), specs(*site.program, call.out),
      call.desc.text(), c.flops, c.bytes);
}

}  // namespace

// Writes events, one per line. Names are operators', activities' and collectives', so nothing needs
// escaping.
class Trace::Writer {
 public:
  Writer(const Path& path, const Trace& trace)
      : file_(open_output(path, O_WRONLY | O_CREAT | O_EXCL), path), trace_(trace) {}

  void name(const char* what, int track, const std::string& name) {
    event(
        fmt::format("\"ph\":\"M\",\"name\":\"{}\",\"pid\":{},\"tid\":{},\"args\":"
                    "{{\"name\":\"{}\"}}",
                    what, trace_.rank_, track, name));
  }
  struct Event {
    std::string_view name, category;
    Track track;
    int64_t begin, end;
  };
  void slice(const Event& e, const std::string& args) {
    event(
        fmt::format("\"ph\":\"X\",\"name\":\"{}\",\"cat\":\"{}\",\"pid\":{},\"tid\":{},\"ts\":{},"
                    "\"dur\":{},\"args\":{{{}}}",
                    e.name, e.category, trace_.rank_, int(e.track),
                    microseconds(e.begin - trace_.zero_), microseconds(e.end - e.begin), args));
  }
  void finish() {
    text_ += fmt::format("\n],\"otherData\":{{\"rank\":{},\"left_out\":{}}}}}\n", trace_.rank_,
                         trace_.left_out_);
    file_.write(std::as_bytes(std::span(text_)));
    file_.flush();
  }

 private:
  void event(const std::string& fields) {
    text_ += (first_ ? "\n{" : ",\n{") + fields + "}";
    first_ = false;
    if (text_.size() < kChunk) return;
    file_.write(std::as_bytes(std::span(text_)));
    text_.clear();
  }

  File file_;
  const Trace& trace_;
  std::string text_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
  bool first_ = true;
};

int64_t Trace::wall_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Trace::Trace(std::span<const CallSite> sites, int rank, int64_t zero)
    : sites_(sites), rank_(rank), zero_(zero - (wall_clock() - steady_clock())) {
  calls_.reserve(kMostCalls), activities_.reserve(kMostSpans), waits_.reserve(kMostSpans);
}

void Trace::made(const CallMade& call) {
  if (calls_.size() == kMostCalls) {
    ++left_out_;
    return;
  }
  calls_.push_back({nanoseconds(call.begin), nanoseconds(call.end), step_, int32_t(call.site),
                    int32_t(call.round)});
}

void Trace::entered(int64_t step, Activity activity) {
  step_ = step;
  const int64_t now = steady_clock();
  if (!activities_.empty() && activities_.back().end == 0) activities_.back().end = now;
  if (activities_.size() == kMostSpans) {
    ++left_out_;
    return;
  }
  activities_.push_back({.begin = now, .step = step, .name = name_of(activity).data()});
}

void Trace::began(const CollectiveCall& call) {
  if (waits_.size() == kMostSpans) {
    ++left_out_;
    return;
  }
  waits_.push_back(
      {.begin = steady_clock(), .step = step_, .bytes = call.bytes, .name = call.operation});
}

void Trace::ended() {
  if (!waits_.empty() && waits_.back().end == 0) waits_.back().end = steady_clock();
}

void Trace::write(const Path& path) const {
  make_own_directory(path.parent_path());
  const Path aside = path.string() + ".partial";
  ::unlink(aside.c_str());
  const int64_t now = steady_clock();
  {
    Writer to(aside, *this);
    to.name("process_name", 0, fmt::format("rank {}", rank_));
    for (const auto& [track, name] : {std::pair{kActivity, "activity"},
                                      {kOperators, "operators"},
                                      {kCommunication, "communication"}})
      to.name("thread_name", track, name);
    for (const Span& s : activities_)
      to.slice({s.name, "activity", kActivity, s.begin, s.end ? s.end : now},
               fmt::format("\"step\":{}", s.step));
    std::vector<std::string> args(sites_.size());
    for (const Slice& s : calls_) {
      const CallSite& site = sites_[size_t(s.site)];
      std::string& same = args[size_t(s.site)];
      if (same.empty()) same = args_of(site);
      to.slice({site.call->op->name, name_of(site.pass), kOperators, s.begin, s.end},
               fmt::format("\"step\":{},\"round\":{},{}", s.step, s.round, same));
    }
    for (const Span& s : waits_)
      to.slice({s.name, "communication", kCommunication, s.begin, s.end ? s.end : now},
               fmt::format("\"step\":{},\"bytes\":{}", s.step, s.bytes));
    to.finish();
  }
  if (::rename(aside.c_str(), path.c_str()) != 0) throw_system_error("rename to", path);
}

}  // namespace birkhoff
