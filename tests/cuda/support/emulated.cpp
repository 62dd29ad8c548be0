#include <gtest/gtest.h>

#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {

void in_every_schedule(const std::function<void()>& test) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(emulator::to_string(schedule));
    emulator::reset(schedule);
    test();
    EXPECT_EQ(emulator::fault(), "");
    emulator::reset({});
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace birkhoff::testing
