// Correct programs of several streams have one result, in every legal order.
#include "tests/cuda/kernels/words.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

constexpr int kCount = 100;
constexpr size_t kBytes = kCount * sizeof(float);

class Stream {
 public:
  explicit Stream(unsigned flags = cudaStreamNonBlocking) {
    require_cuda(cudaStreamCreateWithFlags(&stream_, flags), "cudaStreamCreateWithFlags");
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() {
    require_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

TEST(Streams, AnEventOrdersTwo) {
  in_every_schedule([] {
    const Stream a, b;
    const Event made, seen;
    const DeviceArray<float> x(std::vector<float>(kCount, 0.0f));
    float result[kCount];
    for (int round = 0; round < 3; ++round) {
      run_increment(x.data(), kCount, a);
      require_cuda(cudaEventRecord(made, a), "record");
      require_cuda(cudaStreamWaitEvent(b, made), "wait");
      run_increment(x.data(), kCount, b);
      require_cuda(cudaEventRecord(seen, b), "record");
      require_cuda(cudaStreamWaitEvent(a, seen), "wait");
    }
    require_cuda(cudaMemcpyAsync(result, x.data(), kBytes, cudaMemcpyDeviceToHost, a), "copy");
    require_cuda(cudaStreamSynchronize(a), "synchronize");
    for (const float value : result) EXPECT_EQ(value, 6.0f);
  });
}

TEST(Streams, TheDefaultStreamWaitsForBlockingOnes) {
  in_every_schedule([] {
    const Stream a(0), b(0);
    const DeviceArray<float> x(std::vector<float>(kCount, 0.0f));
    run_increment(x.data(), kCount, a);
    run_increment(x.data(), kCount, nullptr);
    run_increment(x.data(), kCount, b);
    EXPECT_EQ(x.values(), std::vector<float>(kCount, 3.0f));
  });
}

TEST(Streams, AHostWaitOrdersWhatComesAfterIt) {
  in_every_schedule([] {
    const Stream a, b;
    const Event done;
    const DeviceArray<float> x(std::vector<float>(kCount, 0.0f));
    run_increment(x.data(), kCount, a);
    require_cuda(cudaEventRecord(done, a), "record");
    require_cuda(cudaEventSynchronize(done), "synchronize");
    run_increment(x.data(), kCount, b);
    while (cudaStreamQuery(b) == cudaErrorNotReady) continue;
    run_increment(x.data(), kCount, a);
    require_cuda(cudaDeviceSynchronize(), "synchronize");
    EXPECT_EQ(x.values(), std::vector<float>(kCount, 3.0f));
  });
}

TEST(Streams, MemoryOfAStreamLivesInItsOrder) {
  in_every_schedule([] {
    const Stream a;
    void* memory = nullptr;
    float result[kCount];
    for (int round = 1; round <= 2; ++round) {
      require_cuda(cudaMallocAsync(&memory, kBytes, a), "allocate");
      require_cuda(cudaMemsetAsync(memory, 0, kBytes, a), "fill");
      for (int i = 0; i < round; ++i) run_increment(static_cast<float*>(memory), kCount, a);
      require_cuda(cudaMemcpyAsync(result, memory, kBytes, cudaMemcpyDeviceToHost, a), "copy");
      require_cuda(cudaFreeAsync(memory, a), "free");
      require_cuda(cudaStreamSynchronize(a), "synchronize");
      for (const float value : result) EXPECT_EQ(value, float(round));
    }
  });
}

TEST(Streams, AHostBufferMayGoDownAndUpInOneStream) {
  in_every_schedule([] {
    const Stream a;
    const DeviceArray<float> x(std::vector<float>(kCount, 2.0f)), y(kCount), z(kCount);
    require_cuda(cudaDeviceSynchronize(), "synchronize");
    std::vector<float> host(kCount);
    require_cuda(cudaMemcpyAsync(host.data(), x.data(), kBytes, cudaMemcpyDeviceToHost, a), "down");
    require_cuda(cudaMemcpyAsync(y.data(), host.data(), kBytes, cudaMemcpyHostToDevice, a), "up");
    require_cuda(cudaMemcpyAsync(z.data(), y.data(), kBytes, cudaMemcpyDeviceToDevice, a), "over");
    require_cuda(cudaStreamSynchronize(a), "synchronize");
    EXPECT_EQ(host, std::vector<float>(kCount, 2.0f));
    EXPECT_EQ(z.values(), host);
  });
}

TEST(Streams, AHostBufferMayGoUpAndDownInOneStream) {
  in_every_schedule([] {
    const Stream a;
    const DeviceArray<float> x(kCount);
    require_cuda(cudaDeviceSynchronize(), "synchronize");
    std::vector<float> host(kCount, 2.0f);
    require_cuda(cudaMemcpyAsync(x.data(), host.data(), kBytes, cudaMemcpyHostToDevice, a), "up");
    run_increment(x.data(), kCount, a);
    require_cuda(cudaMemcpyAsync(host.data(), x.data(), kBytes, cudaMemcpyDeviceToHost, a), "down");
    require_cuda(cudaStreamSynchronize(a), "synchronize");
    EXPECT_EQ(host, std::vector<float>(kCount, 3.0f));
  });
}

}  // namespace
}  // namespace birkhoff::testing
