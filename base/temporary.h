#pragma once
// A writer's temporary files and directories. None is left after an error or after a signal that
// ends the process; those of a killed process are removed when the next writer comes. Errors are
// ResourceError (exit code 5). Thread-safe.
#include <csignal>
#include <memory>
#include <optional>
#include <span>

#include "base/file_id.h"

namespace birkhoff {

// Removes `path`, a file or a directory with its contents, when it is destroyed, and when a signal
// ends the process (remove_temporaries_on_signals). At most 32 are registered for signals at a
// time; further ones are removed only by their destructors.
class Temporary {
 public:
  explicit Temporary(const Path& path);
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const Path& path() const { return path_; }
  void release();  // keeps the file: it was renamed, or is meant to stay

 private:
  Path path_;
  int slot_ = -1;
  bool released_ = false;
};

// From now on SIGINT, SIGTERM and SIGHUP remove each Temporary, then end the process as they would
// have done. An ignored signal stays ignored (nohup). Called once, by the main thread.
void remove_temporaries_on_signals();

// Blocks those signals in the calling thread, for steps that must not be interrupted halfway.
class DelaySignals {
 public:
  DelaySignals();
  ~DelaySignals();
  DelaySignals(const DelaySignals&) = delete;
  DelaySignals& operator=(const DelaySignals&) = delete;

 private:
  sigset_t before_;
};

// PATH.tmp-PID, the name under which this process writes what becomes `path`.
Path temporary_path(const Path& path);
// Creates a new file (O_EXCL), locked until it is closed, so that remove_dead_temporaries in
// another process, on any host, leaves it alone.
std::unique_ptr<File> create_temporary(const Path& path);

// Removes each regular file PATH.tmp-PID whose writer is gone: nobody holds the file's lock, and
// either no process of this host has that PID or this process has it, which has not created a file
// yet. Files in `keep` stay, as do files that cannot be removed or locked.
void remove_dead_temporaries(const Path& path, std::span<const FileId> keep = {});

// Tries to lock a file or directory, without waiting. Closing `descriptor` releases the lock.
enum class FileLock { held, held_by_another, unsupported };
FileLock lock_file(int descriptor);

}  // namespace birkhoff
