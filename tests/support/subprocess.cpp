#include "tests/support/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

namespace birkhoff::testing {
namespace {

// A sanitizer's shadow and quarantine are part of the resident set.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kPeakIsOurs = false;
#else
constexpr bool kPeakIsOurs = true;
#endif

std::string contents(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void become(const std::vector<std::string>& command, const std::string& directory) {
  const int out = open((directory + "/out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err = open((directory + "/err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int in = open("/dev/null", O_RDONLY);
  dup2(in, 0), dup2(out, 1), dup2(err, 2);
  // Signals that the tests ignore (nohup, a shell's `&`) would stay ignored in the program.
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1}) signal(number, SIG_DFL);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

struct Process {
  int pid = 0, parent = 0;
  char state = 0;
  std::string name;
};

std::vector<Process> all_processes() {
  std::vector<Process> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string text = contents(entry.path() / "stat");
    const size_t open = text.find('('), close = text.rfind(')');
    if (open == text.npos || close == text.npos) continue;  // not a process, or gone
    Process p{.pid = std::atoi(text.c_str()), .name = text.substr(open + 1, close - open - 1)};
    if (std::sscanf(text.c_str() + close + 1, " %c %d", &p.state, &p.parent) == 2) all.push_back(p);
  }
  return all;
}

std::vector<Process> descendants(int pid) {
  const std::vector<Process> all = all_processes();
  std::vector<Process> found;
  std::vector<int> open = {pid};
  while (!open.empty()) {
    const int parent = open.back();
    open.pop_back();
    for (const Process& p : all)
      if (p.parent == parent) found.push_back(p), open.push_back(p.pid);
  }
  return found;
}

bool within(double seconds, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace

Started::Started(const std::vector<std::string>& command) : pid_(fork()) {
  if (pid_ == 0) become(command, scratch_.path().string());
}

Started::~Started() {
  if (running_) wait(0);
}

void Started::signal_descendants(int signal, const std::string& name) const {
  for (const Process& p : descendants(pid_))
    if (name.empty() || p.name == name) kill(p.pid, signal);
}

Finished Started::wait(int seconds) {
  const std::string directory = scratch_.path().string();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int status = 0;
  struct rusage usage = {};
  while (wait4(pid_, &status, WNOHANG, &usage) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      signal_descendants(SIGKILL, "");
      kill(pid_, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  running_ = false;
  return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = contents(directory + "/out"),
          .err = contents(directory + "/err"),
          .peak_bytes = kPeakIsOurs ? size_t(usage.ru_maxrss) * 1024 : 0};
}

Finished run_program(const std::vector<std::string>& command, int seconds) {
  return Started(command).wait(seconds);
}

Finished birkhoff(std::vector<std::string> arguments, int seconds) {
  arguments.insert(arguments.begin(), BIRKHOFF_BINARY);
  return run_program(arguments, seconds);
}

std::vector<int> processes_with(const std::string& text, const std::string& name) {
  std::vector<int> found;
  for (const Process& p : all_processes()) {
    if (p.state == 'Z' || p.pid == getpid() || (!name.empty() && p.name != name)) continue;
    if (contents("/proc/" + std::to_string(p.pid) + "/cmdline").find(text) != std::string::npos)
      found.push_back(p.pid);
  }
  return found;
}

bool gone_within(const std::string& text, double seconds) {
  return within(seconds, [&] { return processes_with(text).empty(); });
}

bool appears(const std::string& path, double seconds) {
  std::error_code error;
  return within(seconds, [&] {
    return std::filesystem::exists(path, error) && std::filesystem::file_size(path, error) > 0;
  });
}

}  // namespace birkhoff::testing
