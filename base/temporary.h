#pragma once
// Temporary files and directories of a writer: nothing of them stays after an error, after a signal
// that ends the process, or, once the next writer comes, after a process that was killed. Errors
// are ResourceError (exit code 5). Thread-safe.
#include <csignal>
#include <memory>
#include <optional>
#include <span>

#include "base/file_id.h"

namespace birkhoff {

// Removes `path`, a file or a directory with all that is in it, when it is destroyed, and when a
// signal ends the process (remove_temporaries_on_signals). At most 32 are registered for signals at
// a time; more are removed by their destructors alone.
class Temporary {
 public:
  explicit Temporary(const Path& path);
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const Path& path() const { return path_; }
  void release();  // it has been renamed, or is to stay

 private:
  Path path_;
  int slot_ = -1;
  bool released_ = false;
};

// From here on SIGINT, SIGTERM and SIGHUP remove each Temporary, then end the process as they would
// have. A signal that is ignored stays ignored (nohup). Called once, by the main thread.
void remove_temporaries_on_signals();

// Delays those signals for the calling thread, for moments that must not be cut in two.
class DelaySignals {
 public:
  DelaySignals();
  ~DelaySignals();
  DelaySignals(const DelaySignals&) = delete;
  DelaySignals& operator=(const DelaySignals&) = delete;

 private:
  sigset_t before_;
};

// PATH.tmp-PID: where a process writes what becomes `path`.
Path temporary_path(const Path& path);
// A new file (O_EXCL), locked until it is closed, so that remove_dead_temporaries of another
// process, on any host, leaves it alone.
std::unique_ptr<File> create_temporary(const Path& path);

// Removes the regular files PATH.tmp-PID whose process is gone: PID is no process of this host, or
// this one, which has made none yet, and nobody holds the file's lock. Files of `keep` stay. What
// cannot be removed, or has no locks, stays too.
void remove_dead_temporaries(const Path& path, std::span<const FileId> keep = {});

// Whether a lock on the file or directory could be had. It is released when `descriptor` is closed.
enum class FileLock { held, held_by_another, unsupported };
FileLock lock_file(int descriptor);

}  // namespace birkhoff
