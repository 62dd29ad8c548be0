#include "base/machine.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "tests/support/scratch.h"

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

constexpr size_t kGiB = size_t(1) << 30;

// A system that has a cgroup, and files by their paths.
class MemoryLimit : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const Path file = system_.path().string() + path;
    std::filesystem::create_directories(file.parent_path());
    spill(file, text);
  }
  // What is measured without any limit.
  size_t built_in() const { return memory_limit(Scratch().path()); }
  size_t limit() const { return memory_limit(system_.path()); }

 private:
  Scratch system_;
};

TEST_F(MemoryLimit, PhysicalMemoryWhereNothingElseIsSaid) {
  EXPECT_EQ(built_in(), size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)));
  write("/proc/self/cgroup", "0::/user.slice/a\n");
  write("/sys/fs/cgroup/user.slice/a/memory.max", "max\n");
  EXPECT_EQ(limit(), built_in());
}

// A batch system sets the limit of a job, and the process is in a group below that.
TEST_F(MemoryLimit, TheLeastOfTheGroupAndThoseAbove) {
  write("/proc/self/cgroup", "0::/slurm/job_1/step_0/task\n");
  write("/sys/fs/cgroup/slurm/job_1/memory.max", "1073741824\n");
  write("/sys/fs/cgroup/slurm/job_1/step_0/memory.max", "2147483648\n");
  write("/sys/fs/cgroup/slurm/job_1/step_0/task/memory.max", "max\n");
  EXPECT_EQ(limit(), kGiB);
  write("/sys/fs/cgroup/slurm/job_1/step_0/task/memory.max", "536870912\n");
  EXPECT_EQ(limit(), kGiB / 2);
}

// In a container the root of the tree is the container's own group.
TEST_F(MemoryLimit, OfTheRootOfANamespace) {
  write("/proc/self/cgroup", "0::/\n");
  write("/sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(limit(), kGiB);
  write("/proc/self/cgroup", "0::/a/path/of/the/host\n");
  EXPECT_EQ(limit(), kGiB);
}

TEST_F(MemoryLimit, OfVersionOneToo) {
  write("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/ab\n3:cpuset:/\n0::/\n");
  write("/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "1073741824\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(limit(), kGiB);
  write("/proc/self/cgroup", "4:cpu,memory\nnonsense\n4:memory:\n5:memoryless:/docker/ab\n");
  EXPECT_EQ(limit(), built_in());
}

}  // namespace
}  // namespace birkhoff::testing
