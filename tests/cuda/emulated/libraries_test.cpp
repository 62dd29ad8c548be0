// Libraries that are usable, missing or unsuitable, and a profiler that asks for callbacks.
#include "base/cuda/libraries.h"

#include <gmock/gmock.h>

#include "base/cuda/stream.h"
#include "base/describe_cuda.h"
#include "base/error.h"
#include "kernels/cuda/cublaslt.h"
#include "tests/cuda/emulator/machine.h"

namespace birkhoff::testing {
namespace {

using cuda::load;
using cuda::LoadedLibrary;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

#define FAKE(name) BIRKHOFF_FAKES "/libfake_" name ".so"

LoadedLibrary load_as(cuda::LibraryNeed need, const char* path) {
  need.names = {"libbirkhoff-has-no-such.so.1", path};
  return load(need);
}

TEST(Libraries, AreFound) {
  const LoadedLibrary nccl = load_as(cuda::nccl_need(), FAKE("nccl"));
  EXPECT_TRUE(nccl.library.loaded());
  EXPECT_EQ(nccl.line, FAKE("nccl") ", 2.27.3");
  const LoadedLibrary driver = load_as(cuda::driver_need(), FAKE("driver"));
  EXPECT_TRUE(driver.library.loaded());
  EXPECT_EQ(driver.line, FAKE("driver") ", 13.0.0");
}

// Every function must be looked up by its own name: each fake one returns its position. The library
// must stay loaded although nothing holds it.
TEST(Libraries, CublasLtHasItsFunctions) {
  EXPECT_EQ(load_as(cuda::cublaslt_need(), FAKE("cublaslt")).line, FAKE("cublaslt") ", 13.1.2");
  const cuda::CublasLtFunctions f =
      cuda::cublaslt_functions(load_as(cuda::cublaslt_need(), FAKE("cublaslt")));
  EXPECT_EQ(int(f.create(nullptr)), 1);
  EXPECT_EQ(int(f.destroy(nullptr)), 2);
  EXPECT_STREQ(f.status_name(CUBLAS_STATUS_SUCCESS), "fake");
  EXPECT_EQ(int(f.layout_create(nullptr, CUDA_R_32F, 0, 0, 0)), 3);
  EXPECT_EQ(int(f.layout_destroy(nullptr)), 4);
  EXPECT_EQ(int(f.desc_create(nullptr, CUBLAS_COMPUTE_32F, CUDA_R_32F)), 5);
  EXPECT_EQ(int(f.desc_destroy(nullptr)), 6);
  EXPECT_EQ(int(f.desc_set(nullptr, CUBLASLT_MATMUL_DESC_TRANSA, nullptr, 0)), 7);
  EXPECT_EQ(int(f.preference_create(nullptr)), 8);
  EXPECT_EQ(int(f.preference_destroy(nullptr)), 9);
  EXPECT_EQ(int(f.preference_set(nullptr, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, nullptr, 0)),
            10);
  EXPECT_EQ(int(f.heuristic(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0,
                            nullptr, nullptr)),
            11);
  EXPECT_EQ(int(f.matmul(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                         nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0, nullptr)),
            12);
}

TEST(Libraries, CublasLtIsMissedByWhoNeedsIt) {
  const LoadedLibrary missing = load_as(cuda::cublaslt_need(), "./no-such.so");
  try {
    cuda::cublaslt_functions(missing);
    ADD_FAILURE() << "it is there";
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), StartsWith("matrix products on a GPU need cuBLASLt: none: lib"));
  }
}

TEST(Libraries, AreMissing) {
  cuda::LibraryNeed need = cuda::nccl_need();
  need.names = {"libbirkhoff-has-no-such.so.1"};
  const LoadedLibrary nccl = load(need);
  EXPECT_FALSE(nccl.library.loaded());
  EXPECT_THAT(nccl.line, StartsWith("none: libbirkhoff-has-no-such.so.1: cannot open"));
}

void expect_refused(const LoadedLibrary& loaded, const char* why) {
  EXPECT_FALSE(loaded.library.loaded());
  EXPECT_THAT(loaded.line, StartsWith("none: "));
  EXPECT_THAT(loaded.line, EndsWith(why));
}

TEST(Libraries, AreTooOldOrLackSomething) {
  expect_refused(
      load_as(cuda::nccl_need(), FAKE("nccl_old")),
      "fake_nccl_old.so has version 2.17.1, but at least 2.18.0 and below 3.0.0 is needed");
  expect_refused(
      load_as(cuda::nccl_need(), FAKE("nccl_new")),
      "fake_nccl_new.so has version 3.0.0, but at least 2.18.0 and below 3.0.0 is needed");
  expect_refused(load_as(cuda::nccl_need(), FAKE("nccl_lacking")),
                 "fake_nccl_lacking.so has no function ncclCommSplit");
  expect_refused(load_as(cuda::nccl_need(), FAKE("nccl_failing")),
                 "fake_nccl_failing.so does not report its version");
  expect_refused(
      load_as(cuda::driver_need(), FAKE("driver_old")),
      "fake_driver_old.so has version 12.8.0, but at least 13.0.0 and below 1000.0.0 is needed");
  expect_refused(load_as(cuda::cublaslt_need(), FAKE("nccl")),
                 "fake_nccl.so has no function cublasLtGetVersion");
}

TEST(Libraries, AreDescribed) {
  emulator::reset({});
  const std::string text = describe_cuda();
  EXPECT_THAT(text, StartsWith("cuda: runtime 13.0\ndriver: "));
  for (const char* line : {"\ncublasLt: ", "\nnccl: ", "\nnvtx: ", "\ndevices: 1\ndevice 0: sm_80"})
    EXPECT_THAT(text, HasSubstr(line));
}

std::string told_to(const char* profiler) {
  const char* const names[] = {profiler};
  const SharedLibrary library(names);
  return library.symbol<const char*()>("fake_profiler_log")();
}

TEST(Ranges, AProfilerSeesOperators) {
  emulator::reset({});
  const cuda::Ranges ranges(FAKE("profiler"));
  EXPECT_EQ(ranges.line(), FAKE("profiler"));
  cuda::Gpu gpu({.ranges = &ranges});
  const cuda::Stream stream(gpu, cuda::StreamKind::compute);
  gpu.run("rms_norm", stream, [] {});
  EXPECT_THROW(gpu.run("linear", stream, [&] { gpu.check(cudaErrorInvalidValue, "call"); }),
               InternalError);
  gpu.run("swiglu", stream, [] {});
  EXPECT_EQ(told_to(FAKE("profiler")), "push rms_norm; pop; push linear; pop; push swiglu; pop; ");
}

TEST(Ranges, NobodyAsks) {
  for (const char* path : {static_cast<const char*>(nullptr), ""}) {
    const cuda::Ranges ranges(path);
    EXPECT_EQ(ranges.line(), "no profiler attached (NVTX_INJECTION64_PATH is not set)");
    ranges.push("nothing"), ranges.pop();
  }
}

TEST(Ranges, AProfilerThatCannotIsDoneWithout) {
  EXPECT_THAT(cuda::Ranges("./no-such.so").line(), StartsWith("none: ./no-such.so: cannot open"));
  EXPECT_THAT(cuda::Ranges(FAKE("nccl")).line(),
              EndsWith("has no function InitializeInjectionNvtx2"));
  const cuda::Ranges refused(FAKE("profiler_refusing"));
  EXPECT_THAT(refused.line(), EndsWith("refuses"));
  refused.push("nothing"), refused.pop();
  EXPECT_EQ(told_to(FAKE("profiler_refusing")), "");
}

}  // namespace
}  // namespace birkhoff::testing
