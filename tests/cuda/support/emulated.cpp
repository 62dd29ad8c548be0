#include <gtest/gtest.h>

#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {

namespace {

void in_schedule(const emulator::Schedule& schedule, const std::function<void()>& test) {
  SCOPED_TRACE(emulator::to_string(schedule));
  emulator::reset(schedule);
  test();
  EXPECT_EQ(emulator::fault(), "");
  emulator::reset({});
}

}  // namespace

void in_every_schedule(const std::function<void()>& test) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    in_schedule(schedule, test);
    if (::testing::Test::HasFailure()) return;
  }
}

void in_one_schedule(const std::function<void()>& test) {
  in_schedule({.order = emulator::Order::random, .completion = emulator::Completion::late}, test);
}

int capability() { return 90; }

}  // namespace birkhoff::testing
