// Compiles the file named by HWY_TARGET_INCLUDE once per instruction set: AVX-512, AVX2 and
// HWY_SCALAR, one lane at a time: the baseline of x86-64, since Highway 1.0.3 knows no SSE2 and its
// 128-bit emulation is off for g++ before 12.3. The ones between are left out: nobody trains on
// them, and each costs build time.
//
// BIRKHOFF_FEW_TARGETS leaves out AVX-512 as well: for sanitizers, under which the same source in
// one width more finds nothing new and takes a third of the build.
#ifdef BIRKHOFF_FEW_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#endif
#include "hwy/foreach_target.h"  // IWYU pragma: keep
