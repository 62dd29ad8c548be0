#include "base/cuda/ranges.h"

#include <array>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "base/shared_library.h"

namespace birkhoff::cuda {
namespace {

// From nvtx3/nvtxDetail/nvtxTypes.h: the core module; the number of functions of each module,
// counting an unused function 0 (module 0 is unused and has none); the core functions called here;
// the ids of the export tables, and the version.
constexpr int kCore = 1;
constexpr std::array<unsigned, 7> kFunctions{0, 16, 9, 15, 7, 16, 7};
constexpr size_t kRangePushA = 9, kRangePop = 11;
constexpr uint32_t kCallbacksId = 1, kVersionInfoId = 3, kNvtxVersion = 3;

using Function = void();
struct Module {
  std::array<Function*, 16> functions{};  // a tool writes its own here
  std::array<Function**, 17> slots{};     // the addresses of `functions`; null after the last
};
std::array<Module, kFunctions.size()> modules;

int module_functions(int module, Function**** slots, unsigned* count) {
  if (module < kCore || size_t(module) >= modules.size()) return 0;
  Module& m = modules[size_t(module)];
  const unsigned size = kFunctions[size_t(module)];
  for (size_t i = 1; i < size; ++i) m.slots[i] = &m.functions[i];
  if (slots) *slots = m.slots.data();
  if (count) *count = size;
  return 1;
}

struct Callbacks {
  size_t bytes;
  int (*functions)(int module, Function**** slots, unsigned* count);
};
struct VersionInfo {
  size_t bytes;
  uint32_t version, reserved;
  void (*set_tool_version)(uint32_t version);
};

const void* export_table(uint32_t id) {
  static constexpr Callbacks kCallbacks{sizeof(Callbacks), module_functions};
  static constexpr VersionInfo kVersionInfo{sizeof(VersionInfo), kNvtxVersion, 0, [](uint32_t) {}};
  if (id == kCallbacksId) return &kCallbacks;
  return id == kVersionInfoId ? &kVersionInfo : nullptr;
}

}  // namespace

Ranges::Ranges(const char* injection) {
  if (!injection || !*injection) {
    line_ = "no profiler attached (NVTX_INJECTION64_PATH is not set)";
    return;
  }
  const char* const names[] = {injection};
  const SharedLibrary library(names);
  if (!library.loaded()) {
    line_ = "none: " + library.why();
    return;
  }
  using Initialise = int(const void* (*)(uint32_t));
  const auto initialise = library.symbol<Initialise>("InitializeInjectionNvtx2");
  modules = {};
  if (!initialise || !initialise(export_table)) {
    line_ = fmt::format("none: {} {}", printable(injection),
                        initialise ? "refuses" : "has no function InitializeInjectionNvtx2");
    return;
  }
  const auto& core = modules[kCore].functions;
  if (!core[kRangePushA] || !core[kRangePop]) {
    line_ = fmt::format("{}, which does not accept ranges", printable(injection));
    return;
  }
  push_ = reinterpret_cast<int (*)(const char*)>(core[kRangePushA]);
  pop_ = reinterpret_cast<int (*)()>(core[kRangePop]);
  line_ = printable(injection);
}

const Ranges& ranges() {
  static const Ranges kAll(std::getenv("NVTX_INJECTION64_PATH"));
  return kAll;
}

}  // namespace birkhoff::cuda
