#pragma once
// How the ranks find rank 0's side channel, and how both sides know that the other belongs to the
// job. Rank 0 listens on a port that the system chooses, and distributes its addresses and two
// random tokens over a trusted path. A rank that connects presents the first token; rank 0 answers
// with the second.
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

// Listens on all interfaces; the tokens come from the system's random source. Throws ResourceError.
// The caller must close `listener`.
Rendezvous listen_for_ranks(int& listener);

// Connects, says hello and waits for the answer: tries each address for 2 s, repeatedly for
// `seconds`. Throws PeerError with the port and the addresses tried.
Connection connect_to_rank_0(const Rendezvous& rendezvous, int rank, const ProcessId& self,
                             double seconds = 30);

}  // namespace birkhoff
