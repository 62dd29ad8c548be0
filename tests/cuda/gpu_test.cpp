// A rank's GPU: which settings it rejects, and its error messages.
#include "base/cuda/gpu.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"
#include "base/error.h"
#include "tests/cuda/kernels/words.h"
#include "tests/cuda/support/message_of.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

using cuda::Arena;
using cuda::Event;
using cuda::Gpu;
using cuda::Stream;
using cuda::StreamKind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Gpu, RefusesADeviceThatIsNotThere) {
  in_every_schedule([] {
    int count = 0;
    ASSERT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
    EXPECT_THROW(Gpu({.device = count, .rank = 9}), ConfigError);
    EXPECT_THROW(Gpu({.device = -1}), ConfigError);
    EXPECT_EQ(
        message_of([&] { Gpu({.device = count, .rank = 9}); }),
        fmt::format("rank 9 needs device {}, but this host has {}; start at most one rank per GPU",
                    count, count));
  });
}

TEST(Gpu, NamesCallOperatorRankAndDevice) {
  in_every_schedule([] {
    Gpu gpu({.rank = 3});
    const Stream stream(gpu, StreamKind::compute);
    const Event event(gpu);
    EXPECT_EQ(message_of([&] {
                gpu.check(cudaErrorInvalidValue, "cudaMemcpyAsync");
              }).find("rank 3, device 0: cudaMemcpyAsync failed: cudaErrorInvalidValue, "),
              0u);
    const auto fail = [&] {
      gpu.run("linear_dw", stream, [&] { gpu.check(cudaErrorInvalidValue, "cudaMemcpyAsync"); });
    };
    EXPECT_THAT(message_of(fail),
                StartsWith("rank 3, device 0: cudaMemcpyAsync failed in linear_dw: "
                           "cudaErrorInvalidValue, "));
    EXPECT_THROW(fail(), InternalError);
    EXPECT_THROW(gpu.check(cudaSetDevice(-1), "cudaSetDevice"), ConfigError);
    gpu.run("linear_dx", stream, [] {});  // not affected by the earlier error
  });
}

// The exception's type depends on who has to act.
TEST(Gpu, ErrorsAreOfTheirKind) {
  in_every_schedule([] {
    const Gpu gpu;
    for (const cudaError_t status :
         {cudaErrorNoDevice, cudaErrorInsufficientDriver, cudaErrorNoKernelImageForDevice})
      EXPECT_THROW(gpu.check(status, "call"), ConfigError);
    for (const cudaError_t status :
         {cudaErrorMemoryAllocation, cudaErrorECCUncorrectable, cudaErrorDevicesUnavailable})
      EXPECT_THROW(gpu.check(status, "call"), ResourceError);
    for (const cudaError_t status :
         {cudaErrorInvalidValue, cudaErrorIllegalAddress, cudaErrorLaunchFailure})
      EXPECT_THROW(gpu.check(status, "call"), InternalError);
  });
}

// A kernel's error is reported by a later call; a call's own error at once.
TEST(Gpu, SaysWhoMayHaveFaulted) {
  in_every_schedule([] {
    for (const bool synchronise : {false, true}) {
      Gpu gpu({.synchronise = synchronise});
      const Stream stream(gpu, StreamKind::compute);
      const auto told = [&](cudaError_t status, const char* op) {
        return message_of([&] { gpu.run(op, stream, [&] { gpu.check(status, "call"); }); });
      };
      EXPECT_THAT(told(cudaErrorIllegalAddress, "swiglu"),
                  ::testing::EndsWith(
                      synchronise ? "; caused by a kernel of swiglu"
                                  : "; caused by a kernel of swiglu or of an earlier operator; set "
                                    "BIRKHOFF_CUDA_SYNC=1 to find out which"));
      EXPECT_THAT(told(cudaErrorInvalidValue, "swiglu"), ::testing::Not(HasSubstr("by a kernel")));
    }
  });
}

TEST(Gpu, OperatorsDoNotNest) {
  in_every_schedule([] {
    Gpu gpu;
    const Stream stream(gpu, StreamKind::compute);
    EXPECT_EQ(
        message_of([&] { gpu.run("outer", stream, [&] { gpu.run("inner", stream, [] {}); }); }),
        "[inner] begins before outer has ended");
  });
}

TEST(Gpu, SynchronisesIfTheEnvironmentAsks) {
  for (const auto& [value, asked] : {std::pair("1", true), {"0", false}, {"", false}}) {
    setenv("BIRKHOFF_CUDA_SYNC", value, 1);
    EXPECT_EQ(cuda::synchronise_asked(), asked) << value;
  }
  setenv("BIRKHOFF_CUDA_SYNC", "yes", 1);
  EXPECT_EQ(message_of([] { cuda::synchronise_asked(); }),
            "BIRKHOFF_CUDA_SYNC=yes: must be 1 (wait for the device after each operator) or 0");
  EXPECT_THROW(cuda::synchronise_asked(), ConfigError);
  unsetenv("BIRKHOFF_CUDA_SYNC");
  EXPECT_FALSE(cuda::synchronise_asked());
}

}  // namespace
}  // namespace birkhoff::testing
