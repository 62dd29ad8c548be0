#pragma once
// Decides which rank has failed, from what the ranks' beacons showed over time. Pure: no clock, no
// sockets. Times are seconds of the caller's clock, which must stand still while the caller itself
// does not run, so that a judge that slept accuses no rank.
//
//   dead       its connection closed
//   silent     nothing heard from it for the timeout: stopped, or its host is gone
//   stuck      heard, not waiting in a collective, and its ticks stood still for the timeout
//   deadlock   every rank that has not finished waits in a collective, and none ticked for the
//              timeout; names the rank with the lowest sequence, which is the late one
//
// The first of these that holds is the judgement. Work that ticks never raises an alarm, however
// long it takes. Not thread-safe.
#include <optional>
#include <string>
#include <vector>

#include "comm/beacon.h"

namespace birkhoff {

// A beacon's snapshot that may come from another process.
struct Sign {
  int64_t step = 0;
  Activity activity = Activity::init;
  int64_t sequence = 0;
  std::string operation = "none";
  int64_t bytes = 0;
  bool waiting = false;
  uint64_t ticks = 0;
};
Sign sign_of(const Beacon::Snapshot& snapshot);

enum class Fault { dead, silent, stuck, deadlock };

struct Judgement {
  Fault fault = Fault::dead;
  int rank = 0;
};

class Judge {
 public:
  Judge(int ranks, double now);

  void heard(int rank, double now, const Sign& sign);
  void lost(int rank);      // its connection is closed
  void finished(int rank);  // from now on it only waits for the others

  // REQUIRES timeout > 0. absent() finds only dead and silent.
  std::optional<Judgement> judge(double now, double timeout) const;
  std::optional<Judgement> absent(double now, double timeout) const;

  bool done() const;  // all have finished
  bool ever_heard(int rank) const { return of_[size_t(rank)].heard; }
  const Sign& sign(int rank) const { return of_[size_t(rank)].sign; }
  // A line about the rank's last collective: sequence, operation, bytes, waiting since.
  std::string last_collective(int rank, double now) const;

 private:
  struct Rank {
    Sign sign;
    double heard_at = 0;    // last time
    double changed_at = 0;  // when its current ticks were first seen
    bool heard = false, lost = false, finished = false;
    double still() const { return heard_at - changed_at; }  // as of the last sign
  };
  std::optional<Judgement> deadlock(double timeout) const;

  std::vector<Rank> of_;
};

}  // namespace birkhoff
