// Compiles the file named by HWY_TARGET_INCLUDE once per instruction set: AVX-512, AVX2 and
// HWY_SCALAR (one lane). HWY_SCALAR is the baseline of x86-64, since Highway 1.0.3 has no SSE2
// target and disables its 128-bit emulation for g++ before 12.3. The instruction sets in between
// are left out, because nobody trains on them and each costs build time.
//
// BIRKHOFF_FEW_TARGETS also leaves out AVX-512. It is for sanitizer builds, where the same source
// in one more vector width finds nothing new and takes a third of the build time.
#ifdef BIRKHOFF_FEW_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#endif
#include "hwy/foreach_target.h"  // IWYU pragma: keep
