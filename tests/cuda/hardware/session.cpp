#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "tests/cuda/support/session.h"

namespace birkhoff::testing {

void in_every_schedule(const std::function<void()>& test) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "needs a GPU";
  test();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

void in_one_schedule(const std::function<void()>& test) { in_every_schedule(test); }

int capability() {
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
  return 10 * major + minor;
}

bool has_checker() { return false; }
Traffic traffic() { return {}; }
void reset_traffic() {}

}  // namespace birkhoff::testing
