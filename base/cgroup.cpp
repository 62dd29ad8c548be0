#include "base/cgroup.h"

#include <fstream>
#include <sstream>
#include <string_view>

namespace birkhoff {
namespace {

struct Mount {
  std::string group;  // the group mounted there: "/", or a container's own path on the host
  std::string point;
  int version = 2;
};

bool lists(const std::string& names, const std::string& name) {
  return ("," + names + ",").find("," + name + ",") != std::string::npos;
}

// Fields of a line: id parent device group point options [optional…] - type source super-options
std::vector<Mount> mounts_of(const std::string& controller, const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream left(line.substr(0, dash)), right(line.substr(dash + 3));
    std::string skipped, group, point, type, source, options;
    left >> skipped >> skipped >> skipped >> group >> point;
    right >> type >> source >> options;
    if (type == "cgroup2")
      mounts.push_back({group, point, 2});
    else if (type == "cgroup" && lists(options, controller))
      mounts.push_back({group, point, 1});
  }
  // If /proc lists no mounts, assume the usual directories, of which only some exist.
  if (mounts.empty())
    mounts = {{"/", "/sys/fs/cgroup", 2},
              {"/", "/sys/fs/cgroup/unified", 2},
              {"/", "/sys/fs/cgroup/" + controller, 1}};
  return mounts;
}

// The process's group in the hierarchy of `version`, "/docker/ab"; empty if it has none.
std::string own_group(const std::string& controller, int version, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:/path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version == 2 ? !controllers.empty() : !lists(controllers, controller)) continue;
    if (line.compare(second + 1, 1, "/") == 0) return line.substr(second + 1);
  }
  return "";
}

// Path of `group` below a mount of the group `mounted`.
std::string below(const std::string& group, const std::string& mounted) {
  if (mounted != "/" && group.starts_with(mounted) &&
      (group.size() == mounted.size() || group[mounted.size()] == '/'))
    return group.substr(mounted.size());
  return group == "/" ? "" : group;
}

}  // namespace

std::vector<CgroupDirectory> cgroup_directories(const std::string& controller,
                                                const std::string& root) {
  std::vector<CgroupDirectory> all;
  for (const Mount& mount : mounts_of(controller, root)) {
    std::string group = own_group(controller, mount.version, root);
    if (group.empty()) continue;
    group = below(group, mount.group);
    while (true) {
      all.push_back({root + mount.point + group, mount.version});
      if (group.empty()) break;
      group.resize(group.rfind('/'));
    }
  }
  return all;
}

}  // namespace birkhoff
