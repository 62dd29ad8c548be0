#pragma once
// Selects the form of Sinkhorn–Knopp (kernels/mhc.h), for device code and its callers.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct SinkhornHow {
  bool v4 = false;  // false: the paper's form
  int iterations = 20;
  float eps = 1e-6f;  // used by the v4 form only

  constexpr float pre_eps() const { return v4 ? eps : 0.0f; }
};

}  // namespace birkhoff::cuda
