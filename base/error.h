#pragma once
// Errors are exceptions, one type per exit code of the binary; the message is one line that says
// what, where, and what to do. check() is for broken invariants: always a bug of ours.
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/format.h"

namespace birkhoff {

enum class ExitCode : int {
  ok = 0,
  config = 2,
  data = 3,
  checkpoint = 4,
  resource = 5,  // storage or memory
  peer = 6,
  hang = 7,
  numeric = 8,
  internal = 9,
  preempted = 75,
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

template <ExitCode kCode>
class ErrorOf : public Error {
 public:
  explicit ErrorOf(const std::string& what) : Error(kCode, what) {}
};

using ConfigError = ErrorOf<ExitCode::config>;
using DataError = ErrorOf<ExitCode::data>;
using CheckpointError = ErrorOf<ExitCode::checkpoint>;
using ResourceError = ErrorOf<ExitCode::resource>;
using PeerError = ErrorOf<ExitCode::peer>;
using HangError = ErrorOf<ExitCode::hang>;
using NumericError = ErrorOf<ExitCode::numeric>;
using InternalError = ErrorOf<ExitCode::internal>;

// Throws the exception type of `code` (ok and preempted have none: InternalError).
[[noreturn]] void throw_error(ExitCode code, const std::string& what);

// Throws InternalError with the formatted message unless `holds`.
template <class... A>
void check(bool holds, fmt::format_string<A...> text, A&&... args) {
  if (!holds) throw InternalError(fmt::format(text, std::forward<A>(args)...));
}

// Makes untrusted text fit for one line of a log: control characters and non-ASCII bytes become
// \xNN, and text longer than `limit` bytes is cut and ends in "...".
std::string printable(std::string_view text, size_t limit = 200);

}  // namespace birkhoff
