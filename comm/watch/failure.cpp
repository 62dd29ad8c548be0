#include "comm/watch/failure.h"

#include <new>

namespace birkhoff {
namespace {

constexpr size_t kMaxCause = 1000;  // fits a frame

std::string cause_of(const Judgement& j, const Judge& judge, const ProcessId& process,
                     double timeout) {
  switch (j.fault) {
    case Fault::dead:
      return how_it_ended(process);
    case Fault::silent:
      return judge.ever_heard(j.rank)
                 ? fmt::format("no sign of life for {:g} s: it was stopped, or its host is gone",
                               timeout)
                 : fmt::format("did not start within {:g} s", timeout);
    case Fault::stuck:
      return fmt::format(
          "hangs: no progress for {:g} s outside of collectives: an endless loop, or a file system "
          "that does not respond",
          timeout);
    case Fault::deadlock:
      return fmt::format(
          "deadlock: all ranks are waiting in collectives without progress for {:g} s; this rank "
          "is furthest behind, at sequence {} ({})",
          timeout, judge.sign(j.rank).sequence, printable(judge.sign(j.rank).operation, 40));
  }
  return "unknown";
}

}  // namespace

std::string Failure::line() const {
  return fmt::format("rank {} host {} pid {} step {} activity {}: {}", rank,
                     process.host.empty() ? "unknown" : printable(process.host, 60), process.pid,
                     step, name_of(activity), printable(cause, kMaxCause));
}

Failure failure_of(const Judgement& j, const Judge& judge, const ProcessId& process,
                   double timeout) {
  const Sign& sign = judge.sign(j.rank);
  return {.rank = j.rank,
          .process = process,
          .step = sign.step,
          .activity = sign.activity,
          .cause = cause_of(j, judge, process, timeout),
          .code = j.fault == Fault::dead ? ExitCode::peer : ExitCode::hang};
}

Failure failure_of(const std::exception& error, int rank, const ProcessId& process,
                   const Beacon& beacon) {
  const Beacon::Snapshot now = beacon.snapshot();
  Failure f{.rank = rank,
            .process = process,
            .step = now.step,
            .activity = now.activity,
            .cause = printable(error.what(), kMaxCause),
            .code = ExitCode::internal};
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    f.code = ours->code();
  } else if (dynamic_cast<const std::bad_alloc*>(&error)) {
    f.code = ExitCode::resource;
    f.cause = "out of memory";
  }
  return f;
}

Failure failure_of(const CrashMessage& crash, int rank, const ProcessId& process) {
  return {
      .rank = rank,
      .process = process,
      .step = crash.step,
      .activity = Activity(crash.activity),
      .cause = fmt::format("killed by signal {} ({})", crash.signal, name_of_signal(crash.signal)),
      .code = ExitCode::peer};
}

}  // namespace birkhoff
