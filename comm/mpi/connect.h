#pragma once
// The transport over MPI, and its stand-in for builds without MPI.
#include <memory>

#include "comm/transport.h"

namespace birkhoff {

// Starts MPI; called once, by the main thread of a process that a launcher has started. Throws
// PeerError if MPI does not start, and ConfigError if this build has no MPI but other ranks exist.
// Returns null if this build has no MPI and no other ranks exist.
//
// MPI is finalised by Transport::finish() alone.
std::shared_ptr<Transport> connect_mpi(std::shared_ptr<AbortFlag> abort);

}  // namespace birkhoff
