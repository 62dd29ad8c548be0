#pragma once
// All calls of one rank in flight, in all of its groups. Waiting for one advances all. Not for use
// outside comm/. All calls come from the rank's thread.
#include <exception>
#include <memory>
#include <vector>

#include "comm/beacon.h"
#include "comm/operation.h"

namespace birkhoff {

class Progress {
 public:
  explicit Progress(std::shared_ptr<Transport> transport) : transport_(std::move(transport)) {}
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  Transport& transport() { return *transport_; }
  void watch(Beacon* beacon) { beacon_ = beacon; }
  int next_group = 1;  // number of the next group, as far as this rank knows

  Operation& start(const CommCall& call, const Operation::Place& place);
  bool done(Operation& operation);
  void wait(Operation& operation);
  void release(Operation& operation) noexcept;
  void check_failure();  // throws if this rank, or another, has failed

 private:
  bool advance();
  template <class F>
  decltype(auto) guarded(F&& f);  // keeps the first exception and cancels all calls
  void fail(std::exception_ptr failure) noexcept;

  std::shared_ptr<Transport> transport_;
  Beacon* beacon_ = nullptr;
  std::vector<std::unique_ptr<Operation>> all_;
  std::vector<Operation*> active_, idle_;
  std::exception_ptr failure_;
};

}  // namespace birkhoff
