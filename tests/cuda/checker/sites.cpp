#include "tests/cuda/checker/sites.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "base/format.h"
#include "tests/cuda/emulator/cluster.h"

namespace birkhoff::emulator {
namespace {

// The source line of the call that returns to pc.
std::string line_of(const void* pc) {
  Dl_info info{};
  const std::string unknown = fmt::format("{}", pc);
  if (!dladdr(pc, &info) || !info.dli_fname) return unknown;
  const auto offset = static_cast<const char*>(pc) - 1 - static_cast<const char*>(info.dli_fbase);
  const std::string command =
      fmt::format("addr2line -e '{}' {:#x} 2>/dev/null", info.dli_fname, offset);
  char line[512] = "";
  if (FILE* pipe = popen(command.c_str(), "r")) {
    if (!std::fgets(line, sizeof line, pipe)) line[0] = 0;
    pclose(pipe);
  }
  line[std::strcspn(line, " \n")] = 0;
  const char* slash = std::strrchr(line, '/');
  return slash ? slash + 1 : unknown;
}

}  // namespace

uint32_t Sites::index(const Site& site) {
  const Key key{site.pc, site.where.file_name(), site.where.line(), site.where.column()};
  const auto [found, is_new] = known_.try_emplace(key, uint32_t(sites_.size()));
  if (is_new) sites_.push_back(site);
  return found->second;
}

std::string Sites::text(uint32_t index) const {
  const Site& site = sites_[index];
  return site.pc ? line_of(site.pc) : to_string(site.where);
}

}  // namespace birkhoff::emulator
