#include "comm/watch/process.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/error.h"

namespace birkhoff {
namespace {

// Reads a file of /proc, which reports no size. Empty if it cannot be read.
std::string read_proc(const std::string& path) {
  char text[4096];
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t n = ::read(fd, text, sizeof text);
  ::close(fd);
  return n > 0 ? std::string(text, size_t(n)) : std::string();
}

// Fields of /proc/PID/stat from the third on; [0] is the state. Empty if there is no such process.
// The second field is a name in parentheses that may hold anything.
std::vector<std::string> stat_fields(int64_t pid) {
  const std::string text = read_proc(fmt::format("/proc/{}/stat", pid));
  std::vector<std::string> fields;
  for (size_t at = text.rfind(')'); at != std::string::npos && at + 1 < text.size();) {
    const size_t begin = text.find_first_not_of(" \n", at + 1);
    if (begin == std::string::npos) break;
    at = text.find_first_of(" \n", begin);
    fields.push_back(text.substr(begin, at == std::string::npos ? at : at - begin));
  }
  return fields;
}

constexpr size_t kStart = 22 - 3, kExitCode = 52 - 3;

template <class T>
T number(const std::vector<std::string>& fields, size_t index) {
  T value = 0;
  if (index < fields.size())
    std::from_chars(fields[index].data(), fields[index].data() + fields[index].size(), value);
  return value;
}

std::vector<std::string> fields_of(const ProcessId& process) {
  std::vector<std::string> fields = stat_fields(process.pid);
  if (number<uint64_t>(fields, kStart) != process.start) fields.clear();
  return fields;
}

}  // namespace

ProcessId this_process() {
  char host[256] = "unknown", space[128] = "";
  if (::gethostname(host, sizeof host) == 0) host[sizeof host - 1] = 0;
  const ssize_t n = ::readlink("/proc/self/ns/pid", space, sizeof space - 1);
  std::string boot = read_proc("/proc/sys/kernel/random/boot_id");
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  const int64_t pid = ::getpid();
  return {.host = printable(host, 60),
          .machine = fmt::format("{}-{}", printable(boot, 40),
                                 printable({space, n > 0 ? size_t(n) : 0}, 40)),
          .pid = pid,
          .start = number<uint64_t>(stat_fields(pid), kStart)};
}

ProcessState state_of(const ProcessId& process) {
  const std::vector<std::string> fields = fields_of(process);
  if (fields.empty() || fields[0] == "Z" || fields[0] == "X") return ProcessState::gone;
  return fields[0] == "T" ? ProcessState::stopped : ProcessState::running;
}

void kill_process(const ProcessId& process) {
  const ProcessId self = this_process();
  if (process.machine != self.machine || process.pid == self.pid || process.pid <= 1) return;
  // The descriptor holds on to the process: once its start is found to be right, the signal can
  // reach no other process.
  const int fd = int(::syscall(SYS_pidfd_open, pid_t(process.pid), 0));
  if (fd < 0 && errno != ENOSYS) return;
  if (state_of(process) != ProcessState::gone) {
    if (fd >= 0)
      ::syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
    else
      ::kill(pid_t(process.pid), SIGKILL);
  }
  if (fd >= 0) ::close(fd);
}

std::string how_it_ended(const ProcessId& process) {
  constexpr const char* kUnknown = "its process is gone: it was killed, or ended without reporting";
  if (process.machine != this_process().machine) return kUnknown;
  std::vector<std::string> fields = fields_of(process);
  // The status is set before the process closes its sockets, but it is also 0 while the process
  // runs: waits a moment for one that is about to end.
  for (int looks = 0; looks < 40 && fields.size() > kExitCode; ++looks) {
    if (number<int>(fields, kExitCode) != 0 || state_of(process) == ProcessState::gone) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (const auto later = fields_of(process); !later.empty()) fields = later;
  }
  if (fields.size() <= kExitCode) return kUnknown;
  const int status = number<int>(fields, kExitCode);
  if (WIFSIGNALED(status))
    return fmt::format("killed by signal {} ({})", WTERMSIG(status),
                       name_of_signal(WTERMSIG(status)));
  if (status != 0 || state_of(process) == ProcessState::gone)
    return fmt::format("exited with code {} without reporting", WEXITSTATUS(status));
  return kUnknown;
}

const char* name_of_signal(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGABRT:
      return "SIGABRT";
    case SIGILL:
      return "SIGILL";
    case SIGKILL:
      return "SIGKILL";
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGHUP:
      return "SIGHUP";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "signal";
  }
}

}  // namespace birkhoff
