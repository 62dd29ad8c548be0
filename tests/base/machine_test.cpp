#include "base/machine.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

namespace birkhoff::testing {
namespace {

// sysconf knows the caches of one core, from the processor itself; 0 where it does not.
TEST(Machine, CachesAsSysconfSaysThem) {
  const Machine m = this_machine();
  const auto same = [](size_t bytes, int name) {
    const long want = sysconf(name);
    if (want > 0 && bytes > 0) {
      EXPECT_EQ(bytes, size_t(want));
    }
  };
  same(m.l1, _SC_LEVEL1_DCACHE_SIZE);
  same(m.l2, _SC_LEVEL2_CACHE_SIZE);
  // Of L3 sysconf tells the whole processor's, which no core of an AMD one can use.
  EXPECT_TRUE(m.l3 == 0 || m.l3 >= m.l2);
  EXPECT_FALSE(m.cpu.empty());
}

TEST(Machine, CoresThatTheProcessMayUse) {
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  EXPECT_EQ(this_machine().cores, CPU_COUNT(&all));
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &all)) {
      CPU_SET(cpu, &one);
      break;
    }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const int cores = this_machine().cores;
  sched_setaffinity(0, sizeof all, &all);
  EXPECT_EQ(cores, 1);
}

}  // namespace
}  // namespace birkhoff::testing
