#include "comm/local/run_ranks.h"

#include <exception>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/collectives.h"
#include "comm/exchange.h"
#include "comm/local/threads.h"

namespace birkhoff {

void run_ranks(int size, const std::function<void(Communicator&)>& body,
               const RunRanksOptions& options) {
  check(size > 0, "{} ranks", size);
  const auto abort = options.abort ? options.abort : std::make_shared<AbortFlag>();
  ThreadExchange exchange(size);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(size));
  std::exception_ptr root;  // written by the one rank that raises the flag
  const auto run = [&](int rank) {
    try {
      Collectives ranks(std::make_shared<ThreadTransport>(exchange, rank, abort),
                        options.chunk_bytes);
      body(ranks);
    } catch (...) {
      const auto error = std::current_exception();
      errors[size_t(rank)] = error;
      if (abort->raise(ExitCode::peer,
                       fmt::format("rank {}: {}", rank, shared_error_of(error).line)))
        root = error;
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 1; rank < size; ++rank) threads.emplace_back(run, rank);
  run(0);
  for (std::thread& thread : threads) thread.join();
  if (root) std::rethrow_exception(root);
  // The flag was raised elsewhere, or by Communicator::abort: prefer an error other than the abort.
  for (const bool any : {false, true})
    for (const auto& error : errors)
      if (error && (any || shared_error_of(error).line != abort->line()))
        std::rethrow_exception(error);
}

}  // namespace birkhoff
