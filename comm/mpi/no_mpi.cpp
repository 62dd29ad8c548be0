// Stands in for transport.cpp where MPI was not found when the build was configured.
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "comm/mpi/connect.h"

namespace birkhoff {

std::shared_ptr<Transport> connect_mpi(std::shared_ptr<AbortFlag>) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (size && std::string_view(size) == "1") return nullptr;
  }
  throw ConfigError(
      "started as one of several ranks, but this binary was built without MPI: install "
      "libopenmpi-dev, then configure and build again, or start one process without mpirun");
}

}  // namespace birkhoff
