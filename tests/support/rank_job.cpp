#include "tests/support/rank_job.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace birkhoff::testing {

RankJob::RankJob() {
  spill(path() / "counter", std::string(4096, '\0'));
  spill(path() / "err", "");
}

RankJob::~RankJob() {
  for (size_t r = waited_for_; r < pids_.size(); ++r) {
    ::kill(pids_[r], SIGKILL);
    ::waitpid(pids_[r], nullptr, 0);
  }
}

void RankJob::start(const std::vector<std::string>& command) {
  const std::string err = (path() / "err").string();
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  check(child >= 0, "no process to be had");
  if (child == 0) {
    ::dup2(::open(err.c_str(), O_WRONLY | O_APPEND), 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  pids_.push_back(child);
}

std::vector<int> RankJob::wait(int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::vector<int> codes(pids_.size(), -1);
  for (size_t left = pids_.size(); left > 0;) {
    for (size_t r = 0; r < pids_.size(); ++r) {
      int status = 0;
      if (codes[r] >= 0 || ::waitpid(pids_[r], &status, WNOHANG) != pids_[r]) continue;
      codes[r] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      --left;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      for (size_t r = 0; r < pids_.size(); ++r) {
        if (codes[r] >= 0) continue;
        ADD_FAILURE() << "rank " << r << " still ran after " << seconds << " s; " << err();
        ::kill(pids_[r], SIGKILL);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  waited_for_ = pids_.size();
  return codes;
}

}  // namespace birkhoff::testing
