// A fake injection library of a profiler, which logs its callbacks. It declares NVTX's types by
// itself, as a tool would. With FAKE_REFUSES its initialisation fails.
#include <cstddef>
#include <cstdint>
#include <string>

namespace {

using Pointer = void (*)();
struct Callbacks {
  size_t struct_size;
  int (*GetModuleFunctionTable)(int module, Pointer*** out_table, unsigned* out_size);
};
using GetExportTable = const void* (*)(uint32_t);

std::string log;

int push(const char* message) {
  log += std::string("push ") + message + "; ";
  return 0;
}
int pop() {
  log += "pop; ";
  return 0;
}

}  // namespace

extern "C" {

const char* fake_profiler_log() { return log.c_str(); }

int InitializeInjectionNvtx2(GetExportTable get_export_table) {
#ifdef FAKE_REFUSES
  (void)get_export_table, (void)push, (void)pop;
  return 0;
#else
  const auto* callbacks = static_cast<const Callbacks*>(get_export_table(1));
  if (!callbacks || callbacks->struct_size < sizeof(Callbacks) || get_export_table(2)) return 0;
  // Asks for every function of each module, as Nsight does.
  constexpr unsigned kSizes[] = {0, 16, 9, 15, 7, 16, 7};
  for (int module = 1; module <= 6; ++module) {
    Pointer** table = nullptr;
    unsigned size = 0;
    if (!callbacks->GetModuleFunctionTable(module, &table, &size)) return 0;
    if (size != kSizes[module] || table[0] || table[size]) return 0;
    for (unsigned i = 1; i < size; ++i)
      if (!table[i]) return 0;
    if (module == 1) {
      *table[9] = reinterpret_cast<Pointer>(push);
      *table[11] = reinterpret_cast<Pointer>(pop);
    }
  }
  return !callbacks->GetModuleFunctionTable(7, nullptr, nullptr);
#endif
}

}  // extern "C"
