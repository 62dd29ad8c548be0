// Errors around cuBLASLt must be reported, by the library or by the emulated device.
#include <gmock/gmock.h>

#include "base/error.h"
#include "kernels/cuda/linear.h"
#include "tests/cuda/emulator/board.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/support/cublaslt.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/message_of.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

using cuda::Gpu;
using cuda::LinearKind;
using cuda::LinearProblem;
using cuda::LinearProduct;
using cuda::Stream;
using cuda::StreamKind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr LinearProblem kProblem{LinearKind::dw, 5, 3, 7, DType::bf16, DType::f32};

TEST(LinearFaults, NoAlgorithm) {
  emulator::reset({});
  const Gpu gpu({.rank = 4});
  const cuda::CublasLt lt(gpu, cublaslt());
  emulator::board().matmul_algorithms = false;
  const auto make = [&] { LinearProduct(lt, kProblem); };
  EXPECT_THROW(make(), InternalError);
  EXPECT_EQ(message_of(make),
            "rank 4, device 0: cublasLtMatmulAlgoGetHeuristic failed: cuBLASLt has no algorithm "
            "for linear_dw of 5 tokens, 3 outputs, 7 inputs, bf16 to f32 with 32 MiB of workspace");
  emulator::reset({});
}

void use_everything(const Gpu& gpu) {
  const Stream stream(gpu, StreamKind::compute);
  const cuda::CublasLt lt(gpu, cublaslt());
  const LinearProduct multiply(lt, kProblem);
  const cuda::Arena arena(gpu, 2048, "test");
  multiply.run({arena.at(0, 30).as<bf16>(), arena.at(256, 70).as<bf16>(), nullptr,
                arena.at(512, 84).as<float>(), arena.at(1024, 1024)},
               stream);
  stream.synchronise();
}

TEST(LinearFaults, EveryCallMayFail) {
  for (int call = 1;; ++call) {
    emulator::reset({});
    const Gpu gpu({.rank = 2});
    emulator::board().failing = call;
    emulator::board().status = cudaErrorInvalidResourceHandle;
    const std::string message = message_of([&] { use_everything(gpu); });
    const char* const failed = emulator::board().failed;
    if (!failed) {
      EXPECT_EQ(message, "nothing was thrown");
      EXPECT_GE(call, 20);
      break;
    }
    EXPECT_THAT(message, StartsWith(fmt::format("rank 2, device 0: {} failed", failed)));
  }
  emulator::reset({});
}

// Two streams that share a workspace without an event both write it, which is a race.
TEST(LinearFaults, WorkspaceOfTwoStreams) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    emulator::reset(schedule);
    const Gpu gpu;
    const Stream first(gpu, StreamKind::compute), second(gpu, StreamKind::compute);
    const cuda::CublasLt lt(gpu, cublaslt());
    const LinearProduct multiply(lt, {LinearKind::forward, 2, 2, 2, DType::f32, DType::f32});
    const cuda::Arena workspace(gpu, multiply.workspace_bytes(), "workspace");
    const std::vector<float> ones(4, 1.0f);
    const DeviceArray<float> x(ones), y(4), z(4);
    cudaDeviceSynchronize();
    const auto run = [&](const DeviceArray<float>& out, const Stream& stream) {
      multiply.run({x.data(), x.data(), nullptr, out.data(), workspace.at(0, workspace.size())},
                   stream);
    };
    message_of([&] { run(y, first), run(z, second); });  // the second call may report it
    cudaDeviceSynchronize();
    EXPECT_THAT(emulator::fault(), HasSubstr("unordered"));
  }
  emulator::reset({});
}

// The emulated library must reject unknown attributes.
TEST(LinearFaults, UnknownAttributesAreRefused) {
  emulator::reset({});
  const cuda::CublasLtFunctions lt = cublaslt();
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  ASSERT_EQ(lt.desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(lt.preference_create(&preference), CUBLAS_STATUS_SUCCESS);
  const uint64_t value = 0;
  EXPECT_EQ(lt.desc_set(desc, cublasLtMatmulDescAttributes_t(7), &value, 4),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(lt.desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &value, 8), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(lt.preference_set(preference, cublasLtMatmulPreferenceAttributes_t(2), &value, 4),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(lt.desc_destroy(desc), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(lt.desc_destroy(desc), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(lt.preference_destroy(preference), CUBLAS_STATUS_SUCCESS);
}

}  // namespace
}  // namespace birkhoff::testing
