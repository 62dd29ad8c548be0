// Compiles the file named by HWY_TARGET_INCLUDE once per instruction set: AVX-512, AVX2 and the
// x86-64 baseline (SSE2). The ones between are left out: nobody trains on them, and each costs
// build time.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include "hwy/foreach_target.h"  // IWYU pragma: keep
