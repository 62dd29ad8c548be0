#pragma once
// Runs a program and waits for it: what it printed, how it ended, the memory it used.
#include <string>
#include <vector>

namespace birkhoff::testing {

struct Finished {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
  size_t peak_bytes = 0;  // largest resident set
};

// `command` is argv; killed after `seconds`.
Finished run_program(const std::vector<std::string>& command, int seconds = 120);

// The birkhoff binary of this build.
Finished birkhoff(std::vector<std::string> arguments, int seconds = 120);

}  // namespace birkhoff::testing
