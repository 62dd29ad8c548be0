#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "base/cgroup.h"
#include "base/format.h"

namespace birkhoff {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

size_t bytes_of(const std::string& text) {  // "32768K"
  size_t value = 0, i = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9' && value < (size_t(1) << 40); ++i)
    value = 10 * value + size_t(text[i] - '0');
  return i < text.size() && text[i] == 'K'   ? value << 10
         : i < text.size() && text[i] == 'M' ? value << 20
                                             : value;
}

// CPU time that a cgroup grants, in CPUs; infinite if it sets no limit.
double quota_of(const CgroupDirectory& directory) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double quota = 0, period = 0;
  if (directory.version == 2) {
    std::ifstream file(directory.path + "/cpu.max");  // "150000 100000", or "max 100000"
    if (!(file >> quota >> period)) return kNone;
  } else {
    std::ifstream(directory.path + "/cpu.cfs_quota_us") >> quota;  // -1: no limit
    std::ifstream(directory.path + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : kNone;
}

}  // namespace

int usable_cores(const std::string& root) {
  cpu_set_t cpus;
  int cores = 1;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) cores = std::max(1, CPU_COUNT(&cpus));
  for (const CgroupDirectory& directory : cgroup_directories("cpu", root))
    if (const double quota = std::ceil(quota_of(directory)); quota < cores) cores = int(quota);
  return std::max(1, cores);
}

size_t memory_limit(const std::string& root) {
  size_t least = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
  for (const CgroupDirectory& directory : cgroup_directories("memory", root)) {
    std::ifstream file(directory.path +
                       (directory.version == 2 ? "/memory.max" : "/memory.limit_in_bytes"));
    size_t limit = 0;  // reading fails on "max", which means no limit
    if (file >> limit) least = std::min(least, limit);
  }
  return least;
}

Machine this_machine() {
  Machine m{.cpu = cpu_name(), .cores = usable_cores()};
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return m;
  std::set<std::string> shared;  // L3 caches already counted
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &cpus)) continue;
    for (int index = 0;; ++index) {
      const std::string cache =
          fmt::format("/sys/devices/system/cpu/cpu{}/cache/index{}/", cpu, index);
      const std::string level = first_line(cache + "level");
      if (level.empty()) break;
      if (first_line(cache + "type") == "Instruction") continue;
      const size_t bytes = bytes_of(first_line(cache + "size"));
      if (level == "1") m.l1 = bytes;
      if (level == "2") m.l2 = bytes;
      if (level == "3" && shared.insert(first_line(cache + "shared_cpu_list")).second)
        m.l3 += bytes;
    }
  }
  return m;
}

}  // namespace birkhoff
