#pragma once
// libfault_shim.so: preloaded into a process (LD_PRELOAD), it stands before the calls that change
// files beneath a directory, counts them from 1, and makes one of them go wrong. Settings are
// environment variables:
//
//   FAULT_DIR      the directory; required, everything else is passed through
//   FAULT_KIND     what call FAULT_AT does:
//                    fail         nothing, and returns FAULT_ERRNO (a number; default EIO)
//                    short        of a write the first half, and says so; others as ever
//                    torn         of a write the first half, then SIGKILL; others as kill_before
//                    kill_before  SIGKILL in its place
//                    kill_after   SIGKILL once it is done
//   FAULT_AT       the call's number
//   FAULT_FAIL_ON  "forever": later calls fail too (those that take room where the error is ENOSPC
//                  or EDQUOT; any that changes something otherwise), or are short
//   FAULT_ROOM     bytes that the disk has left: writes take them, unlinks give them back, a write
//                  that finds some but not enough is short, one that finds none is ENOSPC
//   FAULT_LOG      a file, outside of FAULT_DIR: a line of each call, in the order they were done
//   FAULT_DATA     a file: the bytes of all writes, one behind the other in the same order
//   FAULT_NO_LOCK, FAULT_NO_DIRECTORY_FLUSH
//                  numbers: flock(), and fsync() of a directory, always fail with this errno, as on
//                  a file system without them; such calls are not counted
//   FAULT_RANK     only the process whose OMPI_COMM_WORLD_RANK this is; the others are left alone
//
// fsync and fdatasync are counted but not done: a killed process loses nothing of what the kernel
// has, and what a power cut loses is replayed from the log (tests/faults/disk.h). A line of the
// log:
//
//   <rank> TAB <number> TAB <operation> TAB <result> TAB <path> TAB <second path> TAB <offset> NL
//
// result is that of the call, or -errno; paths are relative to FAULT_DIR, "." itself; offset is
// where a write began, or the length that is to be; of `open`, "w" as second path: for writing.
// Calls of several threads and processes are done one at a time while they are logged.
//
// Not seen: what a library does by system calls of its own or within libc (fdopen, freopen, a C++
// stream), and mmap. A recording is therefore compared with the directory that it made. Of the
// C++ library only headers are used, and no memory is allocated: this runs inside of anything.
#include <linux/limits.h>
#include <sys/types.h>

#include <cstddef>

namespace birkhoff::fault {

// A name that a call was given, as a path relative to FAULT_DIR.
struct Place {
  bool inside = false;
  char path[PATH_MAX];
};
void find_name(Place& place, int directory, const char* name);
void find_descriptor(Place& place, int descriptor);

// The errno of what the file system of FAULT_DIR does not offer; 0: it does.
int no_lock();
int no_directory_flush();

enum class Takes { nothing, change, room };  // of the disk

struct Call {
  const char* operation;
  const Place* place;
  const char* second = "";
  Takes takes = Takes::change;
  int descriptor = -1;          // of a write
  const void* bytes = nullptr;  // of a write, `count` of them
  size_t count = 0;
  long offset = 0;
  long gives_back = 0;  // bytes of room
};

// `real(context, count)` does the call, of a write `count` of its bytes, and returns what a system
// call returns, with errno. Passed through if the place is outside.
long counted(const Call& call, long (*real)(void* context, size_t count), void* context);

template <class F>
long counted(const Call& call, F real) {
  return counted(
      call, [](void* f, size_t count) -> long { return (*static_cast<F*>(f))(count); }, &real);
}

}  // namespace birkhoff::fault
