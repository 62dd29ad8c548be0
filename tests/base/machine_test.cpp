#include "base/machine.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

// sysconf gets the caches of one core from the processor itself, or 0 if it cannot.
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
  // For L3 sysconf reports the whole processor's, which no single core of an AMD processor can use.
  EXPECT_TRUE(m.l3 == 0 || m.l3 >= m.l2);
  EXPECT_FALSE(m.cpu.empty());
}

TEST(Machine, CoresThatTheProcessMayUse) {
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  EXPECT_EQ(this_machine().cores, usable_cores());
  EXPECT_LE(this_machine().cores, CPU_COUNT(&all));
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

// A fake system with a cgroup and files at given paths.
class System : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const Path file = system_.path().string() + path;
    std::filesystem::create_directories(file.parent_path());
    spill(file, text);
  }
  Scratch system_;
};

class MemoryLimit : public System {
 protected:
  // The limit without any cgroup.
  size_t built_in() const { return memory_limit(Scratch().path()); }
  size_t limit() const { return memory_limit(system_.path()); }
};

TEST_F(MemoryLimit, PhysicalMemoryWhereNothingElseIsSaid) {
  EXPECT_EQ(built_in(), size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)));
  write("/proc/self/cgroup", "0::/user.slice/a\n");
  write("/sys/fs/cgroup/user.slice/a/memory.max", "max\n");
  EXPECT_EQ(limit(), built_in());
}

// A batch system limits the job; the process is in a group below the job's.
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

// Quotas are compared with this process's cores, so each test states what `cores` should be: n CPUs
// give min(n, cores without a quota), and at least one.
class CpuQuota : public System {
 protected:
  static int of(double cpus) {
    const int without = usable_cores(Scratch().path());
    return std::max(1, std::min(without, int(std::ceil(cpus))));
  }
  int cores() const { return usable_cores(system_.path()); }
};

TEST_F(CpuQuota, NoneIsAllCores) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  EXPECT_EQ(usable_cores(Scratch().path()), CPU_COUNT(&all));
  write("/proc/self/cgroup", "0::/a\n");
  for (const char* none : {"max 100000\n", "", "nonsense\n", "100000\n", "100000 0\n", "-1 5\n"}) {
    write("/sys/fs/cgroup/a/cpu.max", none);
    EXPECT_EQ(cores(), CPU_COUNT(&all)) << none;
  }
}

TEST_F(CpuQuota, OfVersionTwoIsRoundedUp) {
  write("/proc/self/cgroup", "0::/\n");  // a container sees its own group as the root
  write("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(cores(), of(1.5));
  write("/sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(cores(), 1);
  write("/sys/fs/cgroup/cpu.max", "1000 100000\n");
  EXPECT_EQ(cores(), 1);
  write("/sys/fs/cgroup/cpu.max", "99999999 100000\n");
  EXPECT_EQ(cores(), of(1e9));
}

TEST_F(CpuQuota, TheLeastOfTheGroupAndThoseAbove) {
  write("/proc/self/cgroup", "0::/kubepods/pod1/c1\n");
  write("/sys/fs/cgroup/kubepods/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/kubepods/pod1/cpu.max", "50000 100000\n");
  write("/sys/fs/cgroup/kubepods/pod1/c1/cpu.max", "200000 100000\n");
  EXPECT_EQ(cores(), 1);
}

TEST_F(CpuQuota, OfVersionOne) {
  write("/proc/self/cgroup", "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n");
  write("/sys/fs/cgroup/cpu/docker/ab/cpu.cfs_quota_us", "100000\n");
  write("/sys/fs/cgroup/cpu/docker/ab/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), 1);
  write("/sys/fs/cgroup/cpu/docker/ab/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cores(), of(1e9));
  write("/proc/self/cgroup", "4:cpuset,cpuacct:/docker/ab\n");
  write("/sys/fs/cgroup/cpu/docker/ab/cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(cores(), of(1e9));  // it is not in a hierarchy of cpu
}

// mountinfo says what is mounted where: one directory has another name, and one container sees its
// own group as the root of the mount but the host's path in /proc/self/cgroup.
TEST_F(CpuQuota, WhereTheHierarchiesAreMounted) {
  write("/proc/self/mountinfo",
        "30 25 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
        "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "35 30 0:31 /docker/ab /sys/fs/cgroup/cpu,cpuacct rw shared:16 - cgroup cgroup "
        "rw,cpu,cpuacct\nnonsense\n");
  write("/proc/self/cgroup", "4:cpu,cpuacct:/docker/ab/job\n0::/system.slice\n");
  EXPECT_EQ(cores(), of(1e9));
  const std::string own = "/sys/fs/cgroup/cpu,cpuacct";
  for (const std::string& at : {own, own + "/job"}) {
    write(at + "/cpu.cfs_period_us", "100000\n");
    write(at + "/cpu.cfs_quota_us", "100000\n");
    EXPECT_EQ(cores(), 1) << at;
    write(at + "/cpu.cfs_quota_us", "-1\n");
  }
  write("/sys/fs/cgroup/unified/system.slice/cpu.max", "30000 100000\n");
  EXPECT_EQ(cores(), 1);
}

TEST_F(MemoryLimit, WhereTheHierarchiesAreMounted) {
  write("/proc/self/mountinfo",
        "35 30 0:31 /docker/ab /sys/fs/cgroup/mem rw - cgroup cgroup rw,memory\n"
        "36 30 0:31 / /sys/fs/cgroup/two rw - cgroup2 cgroup rw\n");
  write("/proc/self/cgroup", "4:memory:/docker/ab\n0::/\n");
  write("/sys/fs/cgroup/mem/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(limit(), kGiB);
  write("/sys/fs/cgroup/two/memory.max", "536870912\n");
  EXPECT_EQ(limit(), kGiB / 2);
}

}  // namespace
}  // namespace birkhoff::testing
