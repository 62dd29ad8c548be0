#pragma once
// Runs programs for tests: reports their output, how they ended, and the memory they used.
#include <memory>
#include <string>
#include <vector>

#include "tests/support/scratch.h"

namespace birkhoff::testing {

struct Finished {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
  size_t peak_bytes = 0;  // largest resident set; 0 under a sanitizer
};

// A program that runs while the test continues; the destructor kills it with all its descendants.
class Started {
 public:
  explicit Started(const std::vector<std::string>& command);  // argv
  ~Started();
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;

  int pid() const { return pid_; }
  void signal_descendants(int signal, const std::string& name) const;  // descendants with that name
  Finished wait(int seconds);  // kills it with all its descendants after that time

 private:
  Scratch scratch_;
  int pid_ = -1;
  bool running_ = true;
};

// Starts and waits; killed after `seconds`.
Finished run_program(const std::vector<std::string>& command, int seconds = 120);

// The birkhoff binary of this build.
Finished birkhoff(std::vector<std::string> arguments, int seconds = 120);

// Living processes whose program is `name` (any if empty) and one of whose arguments contains
// `text`.
std::vector<int> processes_with(const std::string& text, const std::string& name = "");
bool gone_within(const std::string& text, double seconds);  // no process has it in an argument
bool appears(const std::string& path, double seconds);      // a file that exists and is not empty

}  // namespace birkhoff::testing
