#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>

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

// The least limit of the cgroup at `path` below `hierarchy` and those above it. One that cannot be
// read ("max", or a path of another namespace) is none.
size_t least_limit(const std::string& hierarchy, std::string path, const char* name) {
  size_t least = std::numeric_limits<size_t>::max();
  while (true) {
    std::ifstream file(hierarchy + path + "/" + name);
    size_t limit = 0;
    if (file >> limit) least = std::min(least, limit);
    if (path.empty()) return least;
    path.resize(path.rfind('/'));
  }
}

}  // namespace

size_t memory_limit(const std::string& root) {
  size_t least = size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:/path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    if (path == "/") path.clear();
    if (controllers == ",,")
      least = std::min(least, least_limit(root + "/sys/fs/cgroup", path, "memory.max"));
    else if (controllers.find(",memory,") != std::string::npos)
      least = std::min(least,
                       least_limit(root + "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"));
  }
  return least;
}

Machine this_machine() {
  Machine m{.cpu = cpu_name()};
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return m;
  m.cores = std::max(1, CPU_COUNT(&cpus));
  std::set<std::string> shared;  // L3s that have been counted
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
