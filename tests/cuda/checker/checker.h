#pragma once
// Finds, in every schedule: races, within a block, between blocks and between streams; reads of
// memory that nobody set, or that a copy may still change; global memory touched by anything but
// load and store. A finding is a fault of the launch. Counts traffic on the way.
//
// Every load and store of the kernels arrives here: those of the vocabulary from the machine, those
// of shared memory from the hooks that -fsanitize=thread compiles in (hooks.cpp).
#include <set>
#include <string>
#include <tuple>

#include "tests/cuda/checker/clocks.h"
#include "tests/cuda/checker/requests.h"
#include "tests/cuda/checker/shadow.h"
#include "tests/cuda/checker/sites.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::emulator {

class Checker final : public Observer {
 public:
  void begin_kernel(const char* name, uint32_t operation) override;
  void begin_block(unsigned block, unsigned threads) override;
  void end_block() override;
  void end_kernel() override;
  void access(const Access& access) override;
  void in_flight(const Access& copy, bool begins) override;
  void meet(unsigned warp, unsigned mask) override { clocks_.meet(warp, mask); }
  void barrier() override { clocks_.barrier(); }
  void transfer(uint32_t operation, const void* device, size_t bytes, bool write) override;
  void allocated(const void* device, size_t bytes) override { shadow_.allocated(device, bytes); }
  void freed(const void* device) override { shadow_.freed(device); }

  // A load or store that is not one of the vocabulary's.
  void plain_access(const Access& access);
  testing::Traffic traffic() const { return traffic_; }
  void reset_traffic() { traffic_ = {}; }

 private:
  Mark mark(const Site& site);
  bool ordered(const Mark& before, const Mark& now) const;
  void read(Cell& cell, const Mark& now, const void* p);
  void write(Cell& cell, const Mark& now, const void* p);
  void count(const Access& access, uint32_t site);
  void find(const char* what, const void* p, const Mark& now, const Mark* other = nullptr);
  void report();
  std::string who(const Mark& mark) const;

  BlockClocks clocks_;
  Shadow shadow_;
  Sites sites_;
  Requests requests_;
  testing::Traffic traffic_;
  const char* kernel_ = "";
  uint32_t operation_ = 0, block_ = 0;
  std::set<std::tuple<std::string, uint32_t, uint32_t>> found_;  // what, and at which sites
  std::string findings_;
};

Checker& checker();

}  // namespace birkhoff::emulator
