#pragma once
// A run's directory, held by one job at a time:
//
//   config.yaml                 the effective config, every key
//   tokenizer.json              of the run's data, if it has one
//   metrics.jsonl               engine/metrics/metrics.h
//   checkpoints/step-00000100/  engine/checkpoint/checkpoint.h
//   log/rank-0000.log           base/log.h
//   trace/rank-0000.json        engine/train/trace.h
//   report/                     plots
//   lock                        locked by flock and names its holder, the run's rank 0
//
// The directory itself and checkpoints/ may be links to directories. No other link is followed, and
// a file that is a link, a FIFO or a device is refused.
//
// All errors are ResourceError (exit code 5), unless said otherwise. Not synchronised.
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/directory.h"
#include "engine/checkpoint/tokenizer_identity.h"

namespace birkhoff {

class RunDirectory {
 public:
  // Creates and locks the directory. Throws, having changed nothing, if another process has it
  // locked or if it cannot be written to. Warns if the file system has no locks. The lock is held
  // until the object or the process ends, however it ends.
  static RunDirectory open(const Path& path);
  // The directory that another rank of the run has opened.
  static RunDirectory join(const Path& path);

  // Throws if there is something that a new run would overwrite or mix with: metrics or
  // checkpoints.
  void require_no_run() const;
  void write_config(std::string_view yaml) const;
  // Writes tokenizer.json; if `now` has none, removes that of `before`, the checkpoint that the run
  // resumed from. Throws DataError instead of replacing a file that is neither.
  void write_tokenizer(const ModelTokenizer& now, const ModelTokenizer& before) const;

  // Detects that the directory was renamed, replaced or removed while the run writes to it. Costs
  // one stat() if it was not. Only for what open() returned.
  struct Moved {
    // anew: the directory is gone, and a new one was made and locked, at the old path or, if
    // something is there, beside it. It is empty except for its lock.
    enum { no, renamed, anew } how = no;
    std::string text;  // one line for the user, unless `no`
  };
  Moved follow();
  // For other ranks, which learn the new path from the rank that calls follow().
  void follow_to(const Path& path) { path_ = path; }

  const Path& path() const { return path_; }
  Path metrics() const { return path_ / "metrics.jsonl"; }
  Path checkpoint(int64_t step) const;
  Path log(int rank) const;
  Path trace(int rank) const;

 private:
  RunDirectory(Path path, Descriptor directory, Descriptor lock);
  bool is_at(const Path& path) const;

  Path path_;
  Path real_;  // absolute, without links, as the kernel names it; empty if unknown
  Descriptor directory_, lock_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace birkhoff
