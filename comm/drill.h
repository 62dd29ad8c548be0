#pragma once
// A failure on demand, to rehearse on a new cluster what will one day happen by itself:
//
//   rank=1,step=3,at=backward,kind=segv
//
//   rank   the rank that fails
//   at     where: an activity (init, load, …, finish) or a collective (all_reduce, barrier, …)
//   kind   throw | segv | abort | exit (code 0, without a goodbye) | kill | stop | loop
//   step   the training step; any step if left out
//   count  the number of the matching visit, from 1 (the second micro-batch's backward is 2)
//
// Each key occurs at most once, in any order, separated by commas. docs/reliability.md says what
// then happens. Not thread-safe: used by the rank's thread.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

class Drill {
 public:
  // Throws ConfigError (exit code 2) that says what is wrong.
  explicit Drill(std::string_view text);

  // Fails if rank, step and place match the order; `throw` throws InternalError.
  void at(int rank, int64_t step, std::string_view place);

  int rank() const { return int(rank_); }

 private:
  void set(std::string_view key, std::string_view value);
  void act() const;

  int64_t rank_ = -1;
  std::optional<int64_t> step_;
  std::string place_, kind_;
  int64_t count_ = 1;
};

}  // namespace birkhoff
