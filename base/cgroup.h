#pragma once
// Finds the directories that hold the limits of this process's control groups (cgroups, version 1
// or 2), which containers and batch systems set. Thread-safe.
#include <string>
#include <vector>

namespace birkhoff {

struct CgroupDirectory {
  std::string path;  // without a slash at its end
  int version = 2;
};

// The directories of the process's own group and of all groups above it, in each hierarchy that can
// limit `controller` ("cpu", "memory"). The limit in any of them binds the process. Some may not
// exist, such as the host's path in a container. `root` is put before /proc and /sys, for tests.
std::vector<CgroupDirectory> cgroup_directories(const std::string& controller,
                                                const std::string& root = "");

}  // namespace birkhoff
