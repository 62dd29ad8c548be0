#pragma once
// The transport over MPI, and its twin for builds without one.
#include <memory>

#include "comm/transport.h"

namespace birkhoff {

// Starts MPI; to be called once, by the main thread of a process that a launcher has started.
// PeerError if MPI does not start; ConfigError if this build has none and there are other ranks.
// Null: no MPI, and no other ranks either.
//
// Without Transport::finish() MPI is left as it stands.
std::shared_ptr<Transport> connect_mpi(std::shared_ptr<AbortFlag> abort);

}  // namespace birkhoff
