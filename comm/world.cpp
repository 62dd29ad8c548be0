#include "comm/world.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "comm/collectives.h"
#include "comm/exchange.h"
#include "comm/local/one_rank.h"
#include "comm/mpi/connect.h"

namespace birkhoff {
namespace {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = "";
  if (gethostname(name, sizeof name) != 0) return "unknown";
  name[HOST_NAME_MAX] = '\0';
  return printable(name);
}

}  // namespace

bool launched() {
  // Set by Open MPI, by its runtime PMIx (also by Slurm's srun) and by MPICH's runtime.
  return std::ranges::any_of(
      std::initializer_list<const char*>{"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"},
      [](const char* name) { return std::getenv(name) != nullptr; });
}

World::World() : abort_(std::make_shared<AbortFlag>()) {
  if (launched()) transport_ = connect_mpi(abort_);
  if (transport_)
    ranks_ = std::make_unique<Collectives>(transport_);
  else
    ranks_ = std::make_unique<OneRank>();
  hosts_ = all_gather_texts(*ranks_, host_name());
  const auto self = hosts_.begin() + rank();
  local_rank_ = int(std::count(hosts_.begin(), self, *self));
  local_size_ = int(std::count(hosts_.begin(), hosts_.end(), *self));
}

World::~World() = default;

void World::finish() {
  ranks_->barrier();
  if (transport_) transport_->finish();
  transport_ = nullptr;
}

}  // namespace birkhoff
