#pragma once
// libfault_shim.so, preloaded into a process (LD_PRELOAD), intercepts the calls that change files
// beneath a directory, counts them from 1, and makes one of them go wrong. Settings are environment
// variables:
//
//   FAULT_DIR      the directory; required. Calls elsewhere are passed through
//   FAULT_KIND     what call FAULT_AT does:
//                    fail         does nothing, and returns FAULT_ERRNO (a number; default EIO)
//                    short        a write writes its first half and returns its size; others as
//                    usual torn         a write writes its first half, then SIGKILL; others:
//                    kill_before kill_before  SIGKILL instead of the call kill_after   SIGKILL once
//                    the call is done
//   FAULT_AT       the call's number
//   FAULT_FAIL_ON  "forever": later calls fail too (if the error is ENOSPC or EDQUOT, those that
//                  take room; otherwise any that changes something), or are short
//   FAULT_ROOM     bytes left on the disk: writes take them, unlinks give them back; a write that
//                  finds some but not enough is short, a write that finds none fails with ENOSPC
//   FAULT_LOG      a file outside of FAULT_DIR: a line for each call, in the order they were done
//   FAULT_DATA     a file: the bytes of all writes, concatenated in the same order
//   FAULT_NO_LOCK, FAULT_NO_DIRECTORY_FLUSH
//                  numbers: flock(), and fsync() of a directory, always fail with this errno, as on
//                  a file system without them; such calls are not counted
//   FAULT_RANK     only the process with this OMPI_COMM_WORLD_RANK is affected
//
// fsync and fdatasync are counted but not done: a killed process loses nothing that the kernel has,
// and what a power cut loses is replayed from the log (tests/faults/disk.h). A line of the log:
//
//   <rank> TAB <number> TAB <operation> TAB <result> TAB <path> TAB <second path> TAB <offset> NL
//
// result is that of the call, or -errno; paths are relative to FAULT_DIR, which itself is ".";
// offset is where a write began, or the new length; for `open`, "w" as second path means for
// writing. Calls of several threads and processes are serialised while they are logged.
//
// The shim does not see what a library does by system calls of its own or within libc (fdopen,
// freopen, a C++ stream), nor mmap. A recording is therefore compared with the directory that it
// made. Only headers of the C++ library are used, and no memory is allocated: the shim runs inside
// any program.
#include <linux/limits.h>
#include <sys/types.h>

#include <cstddef>

namespace birkhoff::fault {

// A name passed to a call, as a path relative to FAULT_DIR.
struct Place {
  bool inside = false;
  char path[PATH_MAX];
};
void find_name(Place& place, int directory, const char* name);
void find_descriptor(Place& place, int descriptor);

// The errno for what the file system of FAULT_DIR is to lack; 0: it does not lack it.
int no_lock();
int no_directory_flush();

enum class Takes { nothing, change, room };  // what a call takes of the disk

struct Call {
  const char* operation;
  const Place* place;
  const char* second = "";
  Takes takes = Takes::change;
  int descriptor = -1;          // for a write
  const void* bytes = nullptr;  // for a write, `count` of them
  size_t count = 0;
  long offset = 0;
  long gives_back = 0;  // bytes of room
};

// Counts the call and does it by `real(context, count)`, which writes `count` bytes if it is a
// write and returns what a system call returns, with errno. A place outside is passed through.
long counted(const Call& call, long (*real)(void* context, size_t count), void* context);

template <class F>
long counted(const Call& call, F real) {
  return counted(
      call, [](void* f, size_t count) -> long { return (*static_cast<F*>(f))(count); }, &real);
}

}  // namespace birkhoff::fault
