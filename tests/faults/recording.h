#pragma once
// Runs a program under libfault_shim.so (tests/faults/shim/shim.h), which intercepts file calls.
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "tests/support/subprocess.h"

namespace birkhoff::testing {

using Command = std::vector<std::string>;  // argv

struct Fault {
  std::string kind = {};  // fail, short, torn, kill_before, kill_after; empty: none
  size_t at = 0;          // number of the call, from 1
  int error = 0;          // errno of fail
  bool forever = false;
  int64_t room = -1;                        // bytes left on the disk; −1: no limit
  int no_lock = 0, no_directory_flush = 0;  // errno of every flock; of every directory flush
  int rank = -1;                            // the rank that the fault happens to; −1: every rank
};
std::string to_string(const Fault& fault);

// `directory` must exist; calls beneath it are counted.
size_t runs();  // number of runs of this process so far
Finished run_with(const Fault& fault, const Path& directory, Command command, int seconds = 60);

// The command run by mpirun with `ranks` processes. Fault::rank and FileCall::rank are their ranks.
Command over_mpi(int ranks, const Command& command);

struct FileCall {
  int rank = 0;
  size_t number = 0;  // within its process, from 1
  // open create cut write flush truncate rename mkdir unlink rmdir link close
  std::string operation;
  int64_t result = 0;                  // or -errno
  std::string path = {}, second = {};  // relative to the directory
  size_t offset = 0;                   // of a write; for truncate, the new length
  std::string bytes = {};              // that a write has written
};
std::string to_string(const FileCall& call);

// Errors that a disk reports, used in turn.
inline constexpr int kErrors[] = {ENOSPC, EIO, EDQUOT, EROFS};
// Fails the call with one of them; for four calls of eight, later calls fail as well.
inline Fault failing(const FileCall& call) {
  return {.kind = "fail",
          .at = call.number,
          .error = kErrors[call.number % 4],
          .forever = call.number / 4 % 2 == 1};
}

struct Recording {
  Finished finished;
  std::vector<FileCall> calls;
};
// Records all calls of a run, undisturbed or with `fault`.
Recording record(const Path& directory, const Command& command, const Fault& fault = {});

// N if the call wrote "step N: saved" to a log, the line after which the checkpoint of step N is
// committed; else 0.
int64_t committed_by(const FileCall& call);

// `stride`, or 1 if BIRKHOFF_FAULTS=all in the environment asks for every case.
size_t stride_of(size_t stride);

}  // namespace birkhoff::testing
