#pragma once
// A run's directory, held by one job at a time:
//
//   config.yaml                 the effective config, every key
//   tokenizer.json              of the run's data, where that has one
//   metrics.jsonl               engine/metrics/metrics.h
//   checkpoints/step-00000100/  engine/checkpoint/checkpoint.h
//   log/rank-0000.log           base/log.h
//   trace/rank-0000.json        engine/train/trace.h
//   report/                     plots
//   lock                        flock'ed by the run's rank 0; names it
//
// All errors are ResourceError (exit code 5), unless said otherwise. Not synchronised.
#include <cstdint>
#include <string_view>

#include "base/directory.h"
#include "engine/checkpoint/tokenizer_identity.h"

namespace birkhoff {

class RunDirectory {
 public:
  // Makes and locks the directory. Throws, having changed nothing, if another process has it
  // locked or if it cannot be written to. The lock is held until the object or the process ends,
  // however it ends.
  static RunDirectory open(const Path& path);
  // The directory that another rank of the run has opened.
  static RunDirectory join(const Path& path) { return {path, Descriptor()}; }

  // Throws if there is something that a new run would overwrite or be mixed up with: metrics or
  // checkpoints.
  void require_no_run() const;
  void write_config(std::string_view yaml) const;
  // Writes tokenizer.json; if the tokenizer has none, removes that of `before`, the checkpoint that
  // the run goes on from. Throws DataError if there is a file that is neither: it is not replaced.
  void write_tokenizer(const ModelTokenizer& now, const ModelTokenizer& before) const;

  const Path& path() const { return path_; }
  Path metrics() const { return path_ / "metrics.jsonl"; }
  Path checkpoint(int64_t step) const;
  Path log(int rank) const;
  Path trace(int rank) const;

 private:
  RunDirectory(Path path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  Path path_;
  Descriptor lock_;
};

}  // namespace birkhoff
