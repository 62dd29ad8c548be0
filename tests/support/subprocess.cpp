#include "tests/support/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

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
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

Finished run_program(const std::vector<std::string>& command, int seconds) {
  const Scratch scratch;
  const std::string directory = scratch.path().string();
  const pid_t child = fork();
  if (child == 0) become(command, directory);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int status = 0;
  struct rusage usage = {};
  while (wait4(child, &status, WNOHANG, &usage) == 0) {
    if (std::chrono::steady_clock::now() > deadline) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = contents(directory + "/out"),
          .err = contents(directory + "/err"),
          .peak_bytes = size_t(usage.ru_maxrss) * 1024};
}

Finished birkhoff(std::vector<std::string> arguments, int seconds) {
  arguments.insert(arguments.begin(), BIRKHOFF_BINARY);
  return run_program(arguments, seconds);
}

}  // namespace birkhoff::testing
