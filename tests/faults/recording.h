#pragma once
// Runs a program with libfault_shim.so (tests/faults/shim/shim.h) before its file calls.
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
  int error = 0;          // of fail
  bool forever = false;
  int64_t room = -1;                        // bytes that the disk has left; −1: no limit
  int no_lock = 0, no_directory_flush = 0;  // errno of every flock, of every flush of a directory
  int rank = -1;                            // that the fault happens to; −1: every one
};
std::string to_string(const Fault& fault);

// `directory` exists; calls beneath it are counted.
size_t runs();  // of this process so far
Finished run_with(const Fault& fault, const Path& directory, Command command, int seconds = 60);

// The command run by `ranks` processes of mpirun, whose ranks Fault::rank and FileCall::rank are.
Command over_mpi(int ranks, const Command& command);

struct FileCall {
  int rank = 0;
  size_t number = 0;  // of its process, from 1
  std::string
      operation;       // open create cut write flush truncate rename mkdir unlink rmdir link close
  int64_t result = 0;  // or -errno
  std::string path = {}, second = {};  // relative to the directory
  size_t offset = 0;                   // of a write; of truncate the length
  std::string bytes = {};              // that a write wrote
};
std::string to_string(const FileCall& call);

// What a disk says, in turn.
inline constexpr int kErrors[] = {ENOSPC, EIO, EDQUOT, EROFS};
// One of them at that call; for good at four calls of eight.
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
// All calls of a run that nothing, or `fault`, happens to.
Recording record(const Path& directory, const Command& command, const Fault& fault = {});

// N of "step N: saved" in what a call wrote to a log: with that line a checkpoint is committed.
// 0: the call says no such thing.
int64_t committed_by(const FileCall& call);

// 1, or in a short run `stride`: BIRKHOFF_FAULTS=all in the environment asks for every case.
size_t stride_of(size_t stride);

}  // namespace birkhoff::testing
