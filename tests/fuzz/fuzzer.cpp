// libFuzzer's entry. BIRKHOFF_FUZZ_TARGET names the target of this executable.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const birkhoff::fuzz::Target& target = birkhoff::fuzz::target(BIRKHOFF_FUZZ_TARGET);
  birkhoff::fuzz::run(target, {reinterpret_cast<const char*>(data), size});
  return 0;
}
