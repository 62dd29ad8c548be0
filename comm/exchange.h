#pragma once
// Exchange of texts and errors among all ranks. Every rank calls these functions at the same point
// of its order. They allocate, so they are for start-up, saves and shutdown, not for a step.
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

// Returns the root's text on all ranks; the text of other ranks is ignored.
std::string broadcast_text(Communicator& ranks, std::string_view text, int root);

struct SharedError {
  ExitCode code = ExitCode::internal;
  std::string line;
  int rank = 0;  // the rank that had it; set by agree()
};

// Code and line of an exception; one that is no Error counts as internal.
SharedError shared_error_of(const std::exception_ptr& error);

// Returns on all ranks the error of the lowest rank that has one, or nullopt if none has.
std::optional<SharedError> agree(Communicator& ranks, const std::optional<SharedError>& own);

// Runs `body` on each rank. If it throws on any, all ranks throw the error of the lowest such rank,
// with its code and its line. `body` must not call `ranks`.
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
