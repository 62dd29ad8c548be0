// The host's misuse of streams and memory must be found in every schedule.
#include <gmock/gmock.h>

#include "tests/cuda/emulator/asan.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/kernels/words.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kCount = 64;
constexpr size_t kBytes = kCount * sizeof(float);

// Two streams and memory, on a fresh device.
struct Rig {
  cudaStream_t a = nullptr, b = nullptr;
  float *x = nullptr, *y = nullptr;
  std::vector<float> host = std::vector<float>(kCount, 1.0f);

  explicit Rig(const emulator::Schedule& schedule) {
    emulator::reset(schedule);
    for (cudaStream_t* s : {&a, &b})
      require_cuda(cudaStreamCreateWithFlags(s, cudaStreamNonBlocking), "stream");
    for (float** p : {&x, &y}) {
      require_cuda(cudaMalloc(reinterpret_cast<void**>(p), kBytes), "cudaMalloc");
      require_cuda(cudaMemcpy(*p, host.data(), kBytes, cudaMemcpyHostToDevice), "copy");
    }
  }
};

void expect_fault(const char* text, void (*misuse)(Rig&)) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    Rig rig(schedule);
    misuse(rig);
    cudaDeviceSynchronize();
    EXPECT_THAT(emulator::fault(), HasSubstr(text));
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaGetErrorString(cudaErrorLaunchFailure), emulator::fault());
  }
  emulator::reset({});
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST(Misuse, HostReadsAndWritesDeviceMemory) {
  const Rig rig({});
  EXPECT_DEATH(std::exit(int(*rig.x)),
               "the host touches device memory: byte 0 of an allocation of");
  EXPECT_DEATH(rig.x[7] = 1, "the host touches device memory: byte 28 of an allocation of");
}

TEST(Misuse, SourceIsReusedBeforeItsCopyEnds) {
  expect_fault("was written before its copy to the device had ended", [](Rig& r) {
    cudaMemcpyAsync(r.x, r.host.data(), kBytes, cudaMemcpyHostToDevice, r.a);
    r.host[5] = 2;
  });
}

TEST(Misuse, DestinationIsWrittenBeforeItsCopyEnds) {
  expect_fault("was written before the copy from the device to it had ended", [](Rig& r) {
    cudaMemcpyAsync(r.host.data(), r.x, kBytes, cudaMemcpyDeviceToHost, r.a);
    r.host[5] = 2;
  });
}

TEST(Misuse, DestinationIsReadBeforeItsCopyEnds) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    Rig r(schedule);
    cudaMemcpyAsync(r.host.data(), r.x, kBytes, cudaMemcpyDeviceToHost, r.a);
    cudaStreamSynchronize(r.b);  // the wrong one
    EXPECT_NE(r.host[5], r.host[5]);
    cudaStreamSynchronize(r.a);
    EXPECT_EQ(r.host[5], 1.0f);
  }
  emulator::reset({});
}

TEST(Misuse, KernelUsesFreedMemory) {
  expect_fault("of an allocation of 256 that has been freed", [](Rig& r) {
    cudaFree(r.x);
    run_increment(r.x, kCount, r.a);
  });
}

TEST(Misuse, CopyUsesFreedMemory) {
  expect_fault("of an allocation of 256 that has been freed", [](Rig& r) {
    cudaFree(r.x);
    cudaMemcpyAsync(r.y, r.x, kBytes, cudaMemcpyDeviceToDevice, r.a);
  });
}

TEST(Misuse, FreedTwice) {
  expect_fault("it has been freed before", [](Rig& r) {
    cudaFree(r.x);
    cudaFree(r.x);
  });
}

TEST(Misuse, FreedInTheMiddle) {
  expect_fault("but is no allocation", [](Rig& r) { cudaFree(r.x + 1); });
}

TEST(Misuse, FreedByAStreamThatDoesNotWait) {
  // If the free runs first, the kernel's fault is an access to freed memory.
  expect_fault("free", [](Rig& r) {
    run_increment(r.x, kCount, r.a);
    cudaFreeAsync(r.x, r.b);
  });
}

TEST(Misuse, AllocatedByAStreamThatNobodyWaitsFor) {
  expect_fault("that another stream makes, without an event", [](Rig& r) {
    void* memory = nullptr;
    cudaMallocAsync(&memory, kBytes, r.a);
    run_increment(static_cast<float*>(memory), kCount, r.b);
  });
}

TEST(Misuse, CopyBeyondTheEnd) {
  expect_fault("256 bytes at byte 4 of an allocation of 256", [](Rig& r) {
    cudaMemcpyAsync(r.x + 1, r.y, kBytes, cudaMemcpyDeviceToDevice, r.a);
  });
}

TEST(Misuse, CopyOfTheWrongKind) {
  expect_fault("kind 1, from the device to the host", [](Rig& r) {
    cudaMemcpyAsync(r.host.data(), r.x, kBytes, cudaMemcpyHostToDevice, r.a);
  });
}

TEST(Misuse, CopyBeyondTheEndToAndFromTheHost) {
  std::vector<float> host(2 * kCount, 1.0f);
  static float* all;
  all = host.data();
  expect_fault("[copy to the device] 260 bytes at byte 0 of an allocation of 256",
               [](Rig& r) { cudaMemcpyAsync(r.x, all, kBytes + 4, cudaMemcpyHostToDevice, r.a); });
  expect_fault("[copy from the device] 256 bytes at byte 8 of an allocation of 256",
               [](Rig& r) { cudaMemcpyAsync(all, r.x + 2, kBytes, cudaMemcpyDeviceToHost, r.a); });
}

TEST(Misuse, HostCopiesUseFreedMemory) {
  expect_fault("[copy to the device] byte 0 of an allocation of 256 that has been freed",
               [](Rig& r) {
                 cudaFree(r.x);
                 cudaMemcpyAsync(r.x, r.host.data(), kBytes, cudaMemcpyHostToDevice, r.a);
               });
  expect_fault("[copy from the device] byte 0 of an allocation of 256 that has been freed",
               [](Rig& r) {
                 cudaFree(r.x);
                 cudaMemcpyAsync(r.host.data(), r.x, kBytes, cudaMemcpyDeviceToHost, r.a);
               });
}

void* pinned(size_t bytes) {
  void* p = nullptr;
  require_cuda(cudaHostAlloc(&p, bytes, cudaHostAllocDefault), "cudaHostAlloc");
  return p;
}

TEST(Misuse, PinnedMemoryIsFreedBeforeItsCopyEnds) {
  constexpr const char* kFound = "pinned memory of 256 bytes is freed before its copy had ended";
  expect_fault(kFound, [](Rig& r) {
    void* const p = pinned(kBytes);
    cudaMemcpyAsync(r.x, p, kBytes, cudaMemcpyHostToDevice, r.a);
    cudaStreamSynchronize(r.b);  // the wrong one
    cudaFreeHost(p);
  });
  expect_fault(kFound, [](Rig& r) {
    void* const p = pinned(kBytes);
    cudaMemcpyAsync(static_cast<std::byte*>(p) + 128, r.x, 64, cudaMemcpyDeviceToHost, r.a);
    cudaFreeHost(p);
  });
}

TEST(Misuse, PinnedMemoryIsFreedTwiceOrInTheMiddle) {
  expect_fault("is freed, but is no pinned memory, or not any more", [](Rig&) {
    void* const p = pinned(kBytes);
    cudaFreeHost(p), cudaFreeHost(p);
  });
  expect_fault("is freed, but is no pinned memory, or not any more",
               [](Rig&) { cudaFreeHost(static_cast<std::byte*>(pinned(kBytes)) + 16); });
}

// A chunk of pinned memory is refilled too early for the next piece, which a ring must not do.
TEST(Misuse, ChunkIsReusedBeforeItsCopyEnds) {
  expect_fault("was written before its copy to the device had ended", [](Rig& r) {
    auto* const chunk = static_cast<float*>(pinned(kBytes / 2));
    for (int piece = 0; piece < 2; ++piece) {
      std::fill_n(chunk, kCount / 2, float(piece));
      cudaMemcpyAsync(r.x + piece * kCount / 2, chunk, kBytes / 2, cudaMemcpyHostToDevice, r.a);
    }
  });
}

void uploaded_without_event(Rig& r) {
  cudaMemcpyAsync(r.x, r.host.data(), kBytes, cudaMemcpyHostToDevice, r.a);
  run_increment(r.x, kCount, r.b);
}

TEST(Misuse, EventIsMissingBehindAnUpload) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  expect_fault("unordered", uploaded_without_event);
}

// CUDA treats an event that was never recorded as complete, so the wait has no effect.
TEST(Misuse, EventIsWaitedForBeforeItIsRecorded) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  expect_fault("unordered", [](Rig& r) {
    cudaEvent_t event = nullptr;
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaStreamWaitEvent(r.b, event);
    run_increment(r.x, kCount, r.a);
    cudaEventRecord(event, r.a);
    cudaMemcpyAsync(r.y, r.x, kBytes, cudaMemcpyDeviceToDevice, r.b);
  });
}

void without_event(Rig& r) {
  run_increment(r.x, kCount, r.a);
  cudaMemcpyAsync(r.y, r.x, kBytes, cudaMemcpyDeviceToDevice, r.b);
}

TEST(Misuse, EventIsMissingBetweenStreams) {
  if (has_checker()) {
    expect_fault("unordered", without_event);
    return;
  }
  // Without the checker, a wrong result shows the error in those schedules that pick the wrong
  // order.
  int wrong = 0;
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    Rig r(schedule);
    without_event(r);
    cudaStreamSynchronize(r.b);
    cudaMemcpy(r.host.data(), r.y, kBytes, cudaMemcpyDeviceToHost);
    wrong += r.host[0] != 2.0f;
  }
  EXPECT_GT(wrong, 0);
  emulator::reset({});
}

TEST(Misuse, StreamIsUsedAfterItsEnd) {
  const Rig r({});
  EXPECT_EQ(cudaStreamDestroy(r.a), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(r.a), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(r.a), cudaErrorInvalidResourceHandle);
  EXPECT_THROW(run_increment(r.x, kCount, r.a), InternalError);
  emulator::reset({});
}

TEST(Misuse, EventIsUsedAfterItsOrItsStreamsEnd) {
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    const Rig r(schedule);
    cudaEvent_t event = nullptr;
    ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(event, r.a), cudaSuccess);
    ASSERT_EQ(cudaStreamDestroy(r.a), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(event, r.a), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaStreamWaitEvent(r.a, event), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaStreamWaitEvent(r.b, event), cudaSuccess);  // the event outlives the stream
    ASSERT_EQ(cudaEventDestroy(event), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(r.b, event), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventRecord(event, r.b), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventSynchronize(event), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventDestroy(event), cudaErrorInvalidResourceHandle);
  }
  emulator::reset({});
}

// 4 KiB static and 160 KiB dynamic shared memory exceed the 163 KiB of a block.
TEST(Misuse, LaunchAddsMoreSharedMemoryThanIsLeft) {
  expect_fault("declares 4096 bytes of shared memory beside the launch's 163840",
               [](Rig& r) { run_shared(r.x, 160 * 1024, r.a); });
}

TEST(Misuse, LaunchThatNoDeviceTakes) {
  const Rig r({});
  EXPECT_THROW(run_shared(r.x, 164 * 1024, r.a), InternalError);
  EXPECT_THROW(run_increment(r.x, 0, r.a), InternalError);  // no blocks
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  emulator::reset({});
}

}  // namespace
}  // namespace birkhoff::testing
