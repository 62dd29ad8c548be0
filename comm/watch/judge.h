#pragma once
// Who has failed, from what the ranks' beacons showed over time. Pure: no clock, no sockets. Times
// are seconds of a clock of the caller's that stands still while the caller itself does not run, so
// that a judge who slept accuses nobody.
//
//   dead       its connection closed
//   silent     nothing heard of it for the timeout: stopped, or its host is gone
//   stuck      heard, not waiting in a collective, and its ticks stood still for the timeout
//   deadlock   every rank that has not finished waits in a collective, and nobody ticked for the
//              timeout; named is the rank with the lowest sequence: it is the one that is late
//
// The first of these that holds is the judgement; work that ticks is never an alarm, however long.
// One thread.
#include <optional>
#include <string>
#include <vector>

#include "comm/beacon.h"

namespace birkhoff {

// A beacon's snapshot that may have come from elsewhere.
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
  void lost(int rank);      // its connection is gone
  void finished(int rank);  // it has nothing left to do but to wait for the others

  // REQUIRES timeout > 0. absent(): dead or silent alone.
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
    double heard_at = 0;    // last
    double changed_at = 0;  // when its ticks were first seen as they are
    bool heard = false, lost = false, finished = false;
    double still() const { return heard_at - changed_at; }  // as far as it was heard
  };
  std::optional<Judgement> deadlock(double timeout) const;

  std::vector<Rank> of_;
};

}  // namespace birkhoff
