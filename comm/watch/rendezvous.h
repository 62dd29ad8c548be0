#pragma once
// How the ranks find rank 0's side channel, and how both sides know that the other belongs to the
// job: rank 0 listens on a port that the system chooses and hands out, by a way that is trusted,
// its addresses and two random tokens. Who connects presents the first, rank 0 answers with the
// second.
#include <optional>
#include <string>
#include <vector>

#include "comm/watch/frame.h"

namespace birkhoff {

struct Rendezvous {
  Token token = {};  // presented to rank 0
  Token reply = {};  // presented by rank 0
  int port = 0;
  std::string machine;                 // ProcessId::machine of rank 0
  std::vector<std::string> addresses;  // numeric

  std::string text() const;  // one line
  // Throws InternalError if it is not what text() wrote.
  static Rendezvous parse(const std::string& text);
};

// Listens on all interfaces; tokens from the system's random source. Throws ResourceError.
// `listener` is the caller's to close.
Rendezvous listen_for_ranks(int& listener);

// Connects, says hello, waits for the answer: each address for 2 s, again and again for `seconds`.
// Throws PeerError, with what went wrong last.
Connection connect_to_rank_0(const Rendezvous& rendezvous, int rank, const ProcessId& self,
                             double seconds = 30);

}  // namespace birkhoff
