#pragma once
// The features of a machine that decide which implementation of an operator runs. Plain values, so
// that a program can be planned for a machine other than this one.
#include <optional>

namespace birkhoff {

struct Features {
  // Multiplies pairs of bf16 and adds them to an f32 in one instruction (vdpbf16ps), in a build
  // that has the code for it (kernels/cpu/avx512_bf16).
  bool avx512_bf16 = false;
  // Of the CUDA device, major · 10 + minor: 90 is an H100. 0: there is none.
  int compute_capability = 0;
};

// The processor that runs this, found out once; no CUDA device. Thread-safe.
Features host_features();

// For tests: host_features() returns `features` from now on, or again the truth if there is none.
void pretend_features(std::optional<Features> features);

}  // namespace birkhoff
