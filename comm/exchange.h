#pragma once
// Texts and verdicts that all ranks come to share. Every rank calls them at the same place of its
// order. They allocate: for start-up, saves and ends, not for a step.
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "comm/communicator.h"

namespace birkhoff {

// The text of each rank, in rank order. At most 1 GiB each.
std::vector<std::string> all_gather_texts(Communicator& ranks, std::string_view own);

// The root's text, on all ranks; that of others is not looked at.
std::string broadcast_text(Communicator& ranks, std::string_view text, int root);

struct SharedError {
  ExitCode code = ExitCode::internal;
  std::string line;
  int rank = 0;  // that had it; set by agree()
};

// Of an exception in flight; what is no Error is internal.
SharedError shared_error_of(const std::exception_ptr& error);

// What the lowest rank with a failure has, on all ranks; nothing if no rank has one.
std::optional<SharedError> agree(Communicator& ranks, const std::optional<SharedError>& own);

// Runs `body` on each rank; if it threw on any, all throw the lowest such rank's error: of its
// code, with its line. `body` makes no calls of `ranks`.
template <class Body>
void together(Communicator& ranks, Body&& body) {
  std::optional<SharedError> own;
  try {
    body();
  } catch (...) {
    own = shared_error_of(std::current_exception());
  }
  if (const auto failure = agree(ranks, own)) throw_error(failure->code, failure->line);
}

}  // namespace birkhoff
