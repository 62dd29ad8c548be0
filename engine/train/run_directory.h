#pragma once
// A run's directory, held by one process at a time:
//
//   config.yaml                 the effective config, every key
//   metrics.jsonl               engine/metrics/metrics.h
//   checkpoints/step-00000100/  engine/checkpoint/checkpoint.h
//   log/rank-0000.log           base/log.h
//   report/                     plots
//   lock                        flock'ed by the process of the run; names it
//
// All errors are ResourceError (exit code 5). Not synchronised.
#include <cstdint>
#include <string_view>

#include "base/directory.h"

namespace birkhoff {

class RunDirectory {
 public:
  // Makes and locks the directory, and writes config.yaml. Throws, having changed nothing, if it
  // holds a run already (metrics or checkpoints), if another process has it locked, or if it cannot
  // be written to. The lock is held until the object or the process ends, however it ends.
  static RunDirectory create(const Path& path, std::string_view config_yaml);

  const Path& path() const { return path_; }
  Path metrics() const { return path_ / "metrics.jsonl"; }
  Path checkpoint(int64_t step) const;
  Path log(int rank) const;

 private:
  RunDirectory(Path path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  Path path_;
  Descriptor lock_;
};

}  // namespace birkhoff
