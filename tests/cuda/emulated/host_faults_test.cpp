// How base/cuda handles missing devices, failing calls and faulty kernels, which the emulated
// device can simulate.
#include <gmock/gmock.h>

#include "base/cuda/staging.h"
#include "base/describe_cuda.h"
#include "base/error.h"
#include "tests/cuda/emulated/faulty.h"
#include "tests/cuda/emulator/board.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/kernels/words.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/message_of.h"

namespace birkhoff::testing {
namespace {

using cuda::Arena;
using cuda::DeviceBytes;
using cuda::Event;
using cuda::Gpu;
using cuda::Staging;
using cuda::Stream;
using cuda::StreamKind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kCount = 64;
constexpr size_t kBytes = kCount * sizeof(float);

TEST(HostFaults, NoDevice) {
  emulator::reset({});
  emulator::board().devices = 0;
  EXPECT_THROW(Gpu(), ConfigError);
  EXPECT_THAT(message_of([] { Gpu(); }), StartsWith("rank 0, device 0: cudaGetDeviceCount failed"));
  EXPECT_THAT(describe_cuda(), HasSubstr("\ndevices: none: "));
  emulator::reset({});
  EXPECT_THAT(describe_cuda(), HasSubstr("\ndevices: 1\ndevice 0: sm_80, 108 multiprocessors"));
}

TEST(HostFaults, ADeviceThatIsTooOld) {
  emulator::reset({});
  emulator::board().major = 7, emulator::board().minor = 5;
  EXPECT_THROW(Gpu(), ConfigError);
  EXPECT_EQ(
      message_of([] { Gpu(); }),
      "rank 0, device 0: the GPU is sm_75, but the kernels need sm_80 or later; use a newer GPU");
  emulator::reset({});
}

TEST(HostFaults, MemoryThatIsNotThere) {
  emulator::reset({});
  const Gpu gpu({.rank = 1});
  const Arena first(gpu, size_t{1} << 20, "parameters");
  emulator::board().memory = size_t{2} << 20;
  EXPECT_EQ(message_of([&] { Arena(gpu, (size_t{1} << 20) + 1, "activations"); }),
            "rank 1, device 0: cannot allocate 0.00 GiB for activations: 0.00 of 0.00 GiB are "
            "free; set train.recompute, lower train.micro_batch, or end other programs on the "
            "device (see nvidia-smi)");
  emulator::board().memory = size_t{40} << 30;
  EXPECT_THAT(message_of([&] { Arena(gpu, size_t{61} << 30, "activations"); }),
              HasSubstr("cannot allocate 61.00 GiB for activations: 40.00 of 40.00 GiB are free"));
  EXPECT_THAT(message_of([&] {
                emulator::board().failing = 1;
                emulator::board().status = cudaErrorMemoryAllocation;
                Staging(gpu, {});
              }),
              StartsWith("rank 1, device 0: cannot pin 16.0 MiB of host memory"));
  emulator::reset({});
}

// Uses each class, and each kind of call.
void use_everything() {
  Gpu gpu({.rank = 2, .synchronise = true});
  const Stream compute(gpu, StreamKind::compute), transfer(gpu, StreamKind::transfer);
  Event there(gpu), begin(gpu, cuda::Timing::on), end(gpu, cuda::Timing::on);
  const Arena arena(gpu, kBytes, "test");
  const DeviceBytes x = arena.at(0, kBytes);
  Staging staging(gpu, {.chunk_bytes = 48, .chunks = 2});
  std::vector<float> values(kCount, 1.0f);
  staging.upload(x, std::as_bytes(std::span(values)), transfer);
  there.record(transfer);
  compute.wait(there);
  begin.record(compute);
  gpu.run("increment", compute, [&] { run_increment(x.as<float>(), kCount, compute); });
  end.record(compute);
  end.synchronise();
  EXPECT_GT(end.milliseconds_since(begin), 0.0f);
  staging.download(std::as_writable_bytes(std::span(values)), x, compute);
  EXPECT_EQ(values, std::vector<float>(kCount, 2.0f));
}

// Lets the first call fail, then the second, and so on. Each time an exception must name the call,
// nothing in use may be freed, and nothing may leak.
TEST(HostFaults, EveryCallMayFail) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    for (int call = 1;; ++call) {
      emulator::reset(schedule);
      emulator::board().failing = call;
      emulator::board().status = cudaErrorInvalidResourceHandle;
      const std::string message = message_of(use_everything);
      const char* const failed = emulator::board().failed;
      emulator::board().failing = 0;
      EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      EXPECT_EQ(emulator::fault(), "");
      size_t free = 0, total = 0;
      EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
      EXPECT_EQ(free, total);
      if (!failed) {
        EXPECT_GE(call, 40);
        break;
      }
      EXPECT_THAT(message, StartsWith(fmt::format("rank 2, device 0: {} failed", failed)));
    }
  }
  emulator::reset({});
}

// A launcher only knows the stream, yet the message and exception must be as for any other call.
TEST(HostFaults, ALaunchThatIsRefused) {
  const auto launch = [](Gpu& gpu, const Stream& stream, cudaError_t status, int count) {
    const Arena arena(gpu, kBytes, "test");
    float* const p = arena.at(0, kBytes).as<float>();
    require_cuda(cudaMemsetAsync(p, 0, kBytes, stream), "cudaMemsetAsync");
    gpu.run("swiglu", stream, [&] {
      if (status != cudaSuccess) emulator::board().failing = 1;
      emulator::board().status = status;
      run_increment(p, count, stream);
    });
    stream.synchronise();
  };
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    emulator::reset(schedule);
    Gpu gpu({.rank = 3});
    const Stream stream(gpu, StreamKind::compute);
    const auto with = [&](cudaError_t status, int count = kCount) {
      return [&, status, count] { launch(gpu, stream, status, count); };
    };
    EXPECT_THROW(with(cudaErrorNoKernelImageForDevice)(), ConfigError);
    EXPECT_THROW(with(cudaErrorMemoryAllocation)(), ResourceError);
    EXPECT_THROW(with(cudaErrorInvalidValue)(), InternalError);
    EXPECT_THROW(with(cudaSuccess, 0)(), InternalError);
    EXPECT_EQ(message_of(with(cudaErrorMemoryAllocation)),
              "rank 3, device 0: cudaLaunchKernelExC failed in swiglu, kernel increment: "
              "cudaErrorMemoryAllocation, out of memory");
    EXPECT_EQ(message_of(with(cudaSuccess, 0)),
              "rank 3, device 0: cudaLaunchKernelExC failed in swiglu, kernel increment: "
              "cudaErrorInvalidConfiguration, a grid of (0,1,1) blocks");
    EXPECT_NO_THROW(with(cudaSuccess)());  // the error was already reported
  }
  emulator::reset({});
}

TEST(HostFaults, ALaunchWithTooMuchSharedMemory) {
  emulator::reset({});
  Gpu gpu({.rank = 3});
  const Stream stream(gpu, StreamKind::compute);
  const auto launch = [&] { run_shared(nullptr, 164 * 1024, stream); };
  EXPECT_EQ(message_of([&] { gpu.run("attention", stream, launch); }),
            "rank 3, device 0: launch failed in attention, kernel add_memories: 167936 bytes of "
            "shared memory are more than the 166912 that a block can have");
  // A launch outside any operator.
  EXPECT_EQ(message_of(launch),
            "device 0: launch failed, kernel add_memories: 167936 bytes of shared memory are more "
            "than the 166912 that a block can have");
  emulator::board().failing = 1;
  emulator::board().status = cudaErrorInvalidValue;
  EXPECT_THAT(
      message_of([&] { gpu.run("attention", stream, [&] { run_shared(nullptr, 16, stream); }); }),
      StartsWith("rank 3, device 0: cudaFuncSetAttribute failed in attention, kernel "
                 "add_memories: cudaErrorInvalidValue"));
  emulator::reset({});
}

struct Faulty {
  Gpu gpu;
  Stream stream{gpu, StreamKind::compute};
  Arena arena{gpu, 512, "test"};

  explicit Faulty(bool synchronise) : gpu({.rank = 3, .synchronise = synchronise}) {}
  // Runs three operators, of which the second is faulty, then waits.
  void run() {
    float *const p = arena.at(0, kBytes).as<float>(), *const q = arena.at(256, kBytes).as<float>();
    const std::vector<float> ones(kCount, 1.0f);
    for (float* array : {p, q})
      require_cuda(cudaMemcpy(array, ones.data(), kBytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    gpu.run("rms_norm", stream, [&] { run_increment(p, kCount, stream); });
    gpu.run("linear_dw", stream, [&] { run_faulty(Fault::misaligned, p, q, stream); });
    gpu.run("swiglu", stream, [&] { run_increment(p, kCount, stream); });
    stream.synchronise();
  }
};

TEST(HostFaults, SynchronisedTheOperatorIsNamed) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    emulator::reset(schedule);
    Faulty faulty(true);
    const std::string message = message_of([&] { faulty.run(); });
    EXPECT_THAT(message, StartsWith("rank 3, device 0: "));
    EXPECT_THAT(message, HasSubstr(" failed in linear_dw: cudaErrorLaunchFailure, [faulty] block"));
    EXPECT_THAT(message, ::testing::EndsWith("; caused by a kernel of linear_dw"));
  }
  emulator::reset({});
}

// Some later call reports the fault, and must not blame an operator that is certainly innocent.
TEST(HostFaults, UnsynchronisedTheLineSaysSo) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    emulator::reset(schedule);
    Faulty faulty(false);
    const std::string message = message_of([&] { faulty.run(); });
    EXPECT_THAT(message, StartsWith("rank 3, device 0: "));
    EXPECT_THAT(message, HasSubstr("cudaErrorLaunchFailure, [faulty] block"));
    EXPECT_THAT(message, ::testing::EndsWith(
                             "an earlier operator; set BIRKHOFF_CUDA_SYNC=1 to find out which"));
    EXPECT_THAT(message, ::testing::Not(HasSubstr("rms_norm")));
  }
  emulator::reset({});
}

}  // namespace
}  // namespace birkhoff::testing
