#pragma once
// Which Sinkhorn–Knopp (kernels/mhc.h), as device code and its callers say it.
#include "kernels/cuda/device/types.h"

namespace birkhoff::cuda {

struct SinkhornHow {
  bool v4 = false;  // else the paper's
  int iterations = 20;
  float eps = 1e-6f;  // of the v4 form alone

  constexpr float pre_eps() const { return v4 ? eps : 0.0f; }
};

}  // namespace birkhoff::cuda
