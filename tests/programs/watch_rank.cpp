// One rank of a job that trains nothing, for tests of the watchdog:
//
//   watch_rank RANK SIZE DIRECTORY TIMEOUT [drill=…] [skip=STEP] [dwell=SECONDS] [peer=STEP]
//
// Five steps, each with a collective that is a counter in DIRECTORY/counter (shared memory, made by
// the test); then a save. The rendezvous goes by DIRECTORY/rendezvous. skip: it leaves out that
// step's collective; dwell: its save takes so long, with ticks; peer: it finds that a peer is gone.
#include <fcntl.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <thread>

#include "base/files.h"
#include "comm/drill.h"
#include "comm/watch/watchdog.h"

namespace birkhoff {
namespace {

using std::chrono::milliseconds;
using std::this_thread::sleep_for;

constexpr int kSteps = 5;

struct Rank {
  int rank, size;
  Path directory;
  double timeout;
  std::map<std::string, std::string> options;

  Beacon beacon = {};
  std::atomic<bool> aborted{false};
  int64_t sequence = 0;
  bool logged = false;  // the thread that logs has it

  double option(const std::string& name) const {
    const auto found = options.find(name);
    return found == options.end() ? 0 : std::atof(found->second.c_str());
  }

  std::string broadcast(const std::string& text) const {
    const Path path = directory / "rendezvous";
    if (rank == 0) return write_file(path, text), text;
    while (!std::filesystem::exists(path)) sleep_for(milliseconds(5));
    return read_file(path, 1 << 16);
  }

  // Not made durable, as no log is: beside tests that sync all the time that can take longer than
  // the watchdog waits for a log.
  void note(const std::string& name, const std::string& text) const {
    std::ofstream(directory / fmt::format("{}-{}", name, rank)) << text;
  }

  // The first line is kept: the cause.
  void log(const std::string& line) {
    if (!std::exchange(logged, true)) note("log", line);
  }

  void collective(std::atomic<int64_t>& counter) {
    beacon.begin({.sequence = ++sequence, .operation = "all_reduce", .bytes = 4096});
    counter.fetch_add(1);
    while (counter.load() < sequence * size) {
      if (aborted) throw PeerError("a wait was ended by the watchdog");
      sleep_for(milliseconds(1));
    }
    beacon.end();
  }

  void work(std::atomic<int64_t>& counter) {
    for (const Activity a : {Activity::init, Activity::load}) beacon.enter(0, a);
    for (int step = 1; step <= kSteps; ++step) {
      for (const Activity a : {Activity::data, Activity::forward, Activity::backward}) {
        beacon.enter(step, a);
        if (a == Activity::data && option("peer") == step) throw PeerError("a peer is gone");
        sleep_for(milliseconds(2));
        beacon.tick();
      }
      beacon.enter(step, Activity::reduce);
      if (option("skip") != step) collective(counter);
      beacon.enter(step, Activity::update);
    }
    beacon.enter(kSteps, Activity::save);
    for (double left = option("dwell"); left > 0; left -= 0.05)
      sleep_for(milliseconds(50)), beacon.tick();
    beacon.enter(kSteps, Activity::finish);
  }

  int run() {
    const int fd = ::open((directory / "counter").c_str(), O_RDWR | O_CLOEXEC);
    void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(fd >= 0 && shared != MAP_FAILED, "no counter");
    std::optional<Drill> drill;
    if (options.contains("drill")) {
      drill.emplace(options.at("drill"));
      beacon.rehearse(*drill, rank);
    }
    Watchdog watchdog({.rank = rank,
                       .size = size,
                       .beacon = &beacon,
                       .timeout = timeout,
                       .abort = [this] { aborted = true; },
                       .broadcast = [this](const std::string& text) { return broadcast(text); },
                       .log = [this](const std::string& line) { log(line); }});
    try {
      work(*static_cast<std::atomic<int64_t>*>(shared));
      watchdog.finish();
      return 0;
    } catch (const std::exception& e) {
      note("caught", e.what());
      return int(watchdog.report(e));
    }
  }
};

}  // namespace
}  // namespace birkhoff

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  birkhoff::Rank rank{.rank = std::atoi(argv[1]),
                      .size = std::atoi(argv[2]),
                      .directory = argv[3],
                      .timeout = std::atof(argv[4]),
                      .options = {}};
  for (int i = 5; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    rank.options[word.substr(0, equals)] = word.substr(equals + 1);
  }
  try {
    return rank.run();
  } catch (const birkhoff::Error& e) {
    std::fprintf(stderr, "watch_rank: %s\n", e.what());
    return int(e.code());
  }
}
