#pragma once
// A timeline of what a rank does, for ui.perfetto.dev and chrome://tracing: `birkhoff train
// --trace`. JSON in the Trace Event Format; the process is the rank, its tracks are
//
//   activity        what the rank is at: data, forward, backward, reduce, update, evaluate, save
//                   (comm/beacon.h); each lasts until the next begins
//   operators       one slice per call, its category is the pass; args: step, phase, shapes, cost,
//                   round
//   communication   one slice per wait for other ranks: the collective, its bytes
//
// Slices of a track do not overlap. Times are microseconds since `zero`, a moment of the wall clock
// that all ranks share, so that their files can be overlaid.
//
// The constructor allocates all memory; what does not fit is counted and left out: 2^18 calls and
// 2^16 of the others, some 13 MiB, 100 MB of JSON. Only the rank's thread may call the functions.
#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "comm/beacon.h"
#include "engine/execute/call_observer.h"

namespace birkhoff {

class Trace final : public CallObserver, public BeaconListener {
 public:
  static int64_t wall_clock();  // nanoseconds

  // REQUIRES the sites of an executor; they outlive this object.
  Trace(std::span<const CallSite> sites, int rank, int64_t zero);

  void made(const CallMade& call) override;
  void entered(int64_t step, Activity activity) override;
  void began(const CollectiveCall& call) override;
  void ended() override;

  // Throws ResourceError. The file is complete or does not exist; its directory is created.
  void write(const Path& path) const;

 private:
  struct Slice {
    int64_t begin = 0, end = 0, step = 0;  // nanoseconds of the steady clock
    int32_t site = 0, round = 0;
  };
  struct Span {
    int64_t begin = 0, end = 0, step = 0, bytes = 0;  // end 0: not ended yet
    const char* name = "";
  };
  class Writer;

  std::span<const CallSite> sites_;
  int rank_;
  int64_t zero_;  // on the steady clock
  int64_t step_ = 0;
  std::vector<Slice> calls_;
  std::vector<Span> activities_, waits_;
  int64_t left_out_ = 0;
};

}  // namespace birkhoff
