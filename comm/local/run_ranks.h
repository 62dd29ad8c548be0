#pragma once
// Runs ranks as threads of one process, for tests.
//
//   run_ranks(4, [](Communicator& ranks) { … });      // returns when all four have
//
// An exception on one rank aborts the others: they throw PeerError "rank R: <its line>" from
// whatever they wait in. run_ranks then rethrows the exception that came first.
#include <functional>
#include <memory>

#include "comm/abort.h"
#include "comm/communicator.h"

namespace birkhoff {

struct RunRanksOptions {
  int64_t chunk_bytes = 0;                     // for large buffers; 0: as in production
  std::shared_ptr<AbortFlag> abort = nullptr;  // raising it from outside ends all waits
};

void run_ranks(int size, const std::function<void(Communicator&)>& body,
               const RunRanksOptions& options = {});

}  // namespace birkhoff
