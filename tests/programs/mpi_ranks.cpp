// What tests/integration/mpi_ranks_test.cpp starts under mpirun: a rank that does what it is told.
//
//   mpi_ranks hashes | hosts | groups | mismatch | throw | stuck | skip
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include "comm/exchange.h"
#include "comm/world.h"
#include "tests/support/collective_hashes.h"

namespace birkhoff {
namespace {

// All ranks' lines, by rank 0 alone: mpirun may mix up what several ranks print.
void print(World& world, const std::vector<std::string>& lines) {
  std::string own;
  for (const std::string& line : lines) own += fmt::format("rank {} {}\n", world.rank(), line);
  for (const std::string& text : all_gather_texts(world.ranks(), own))
    if (world.rank() == 0) std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void hashes(World& world) { print(world, testing::collective_hashes(world.ranks())); }

void hosts(World& world) {
  print(world,
        {fmt::format("of {}: {}, {} of {} there", world.size(), world.hosts()[size_t(world.rank())],
                     world.local_rank(), world.local_size())});
}

void groups(World& world) {
  const int self = world.rank();
  std::vector<int> same;
  for (int r = self % 2; r < world.size(); r += 2) same.push_back(r);
  const auto group = world.ranks().group(same);
  int64_t sum = self;
  Pending pending = group->start_all_reduce(elements(std::span(&sum, 1)), Reduction::sum);
  world.ranks().barrier();
  pending.wait();
  print(world, {fmt::format("sum {}", sum)});
}

void mismatch(World& world) {
  std::vector<float> x(size_t(world.rank() == 1 ? 100'001 : 100'000));
  world.ranks().all_reduce(elements(std::span(x)), Reduction::sum);
  world.ranks().barrier();
}

// Rank 1 fails while the others wait for it, large buffers under way.
void fail(World& world) {
  std::vector<float> x(1 << 20);
  Pending sum = world.ranks().start_all_reduce(elements(std::span(x)), Reduction::sum);
  if (world.rank() == 1) {
    usleep(50'000);
    world.ranks().abort("rank 1: tokens.bin is torn");
    throw DataError("tokens.bin is torn");
  }
  sum.wait();
  world.ranks().barrier();
}

// Rank 1 never comes; a thread of each other rank raises the flag, as a watchdog does.
void stuck(World& world) {
  if (world.rank() == 1) sleep(30);  // mpirun ends it
  std::thread watchdog([&] {
    usleep(100'000);
    world.abort_flag()->raise(ExitCode::hang, "rank 1 is late");
  });
  try {
    world.ranks().barrier();
  } catch (...) {
    watchdog.join();
    throw;
  }
  watchdog.join();
}

// Rank 0 makes one call less: finish() finds it.
void skip(World& world) {
  int64_t x = 1;
  if (world.rank() != 0) world.ranks().all_reduce(elements(std::span(&x, 1)), Reduction::sum);
}

int run(const std::string& what) {
  const std::map<std::string, std::function<void(World&)>> all = {
      {"hashes", hashes}, {"hosts", hosts}, {"groups", groups}, {"mismatch", mismatch},
      {"throw", fail},    {"stuck", stuck}, {"skip", skip}};
  int rank = -1;
  try {
    World world;
    rank = world.rank();
    all.at(what)(world);
    world.finish();
    return 0;
  } catch (const Error& e) {
    // In one write, or mpirun cuts a line of one rank with that of another.
    const std::string line = fmt::format("[{}] {}: {}\n", rank, int(e.code()), e.what());
    if (write(2, line.data(), line.size()) < 0) return 99;
    usleep(300'000);  // mpirun ends all ranks once one has gone: let each say its line
    return int(e.code());
  }
}

}  // namespace
}  // namespace birkhoff

int main(int argc, char** argv) { return argc == 2 ? birkhoff::run(argv[1]) : 2; }
