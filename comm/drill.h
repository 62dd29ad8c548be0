#pragma once
// A failure to order, to rehearse on a new cluster what one day will happen by itself:
//
//   rank=1,step=3,at=backward,kind=segv
//
//   rank   who fails
//   at     where: an activity (init, load, …, finish) or a collective (all_reduce, barrier, …)
//   kind   throw | segv | abort | exit (code 0, without a goodbye) | kill | stop | loop
//   step   when; left out: any
//   count  at which visit that fits all this, from 1 (the second micro-batch's backward is 2)
//
// Each key at most once, in any order, separated by commas. docs/reliability.md tells what then
// happens. One thread, that of the rank.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

class Drill {
 public:
  // Throws ConfigError (exit code 2) that says what is wrong.
  explicit Drill(std::string_view text);

  // Fails if this is the place; InternalError for `throw`.
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
