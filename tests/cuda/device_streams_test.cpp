// base/cuda's streams, events and arenas, with kernels.
#include <gmock/gmock.h>

#include <type_traits>
#include <vector>

#include "base/cuda/arena.h"
#include "base/cuda/stream.h"
#include "base/error.h"
#include "tests/cuda/kernels/words.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

using cuda::Arena;
using cuda::DeviceBytes;
using cuda::Event;
using cuda::Gpu;
using cuda::Stream;
using cuda::StreamKind;
using cuda::Timing;
using ::testing::HasSubstr;

constexpr int kCount = 100;
constexpr size_t kBytes = kCount * sizeof(float);

std::vector<float> values(const DeviceBytes& bytes) {
  std::vector<float> host(bytes.size() / sizeof(float));
  require_cuda(cudaMemcpy(host.data(), bytes.as<float>(), bytes.size(), cudaMemcpyDeviceToHost),
               "cudaMemcpy");
  return host;
}

TEST(DeviceStreams, AnEventOrdersTwo) {
  in_every_schedule([] {
    const Gpu gpu;
    const Stream compute(gpu, StreamKind::compute), exchange(gpu, StreamKind::communication);
    Event made(gpu), seen(gpu);
    const Arena arena(gpu, kBytes, "test");
    const DeviceBytes x = arena.at(0, kBytes);
    require_cuda(cudaMemsetAsync(x.as<float>(), 0, kBytes, compute), "fill");
    for (int round = 0; round < 3; ++round) {
      run_increment(x.as<float>(), kCount, compute);
      made.record(compute);
      exchange.wait(made);
      run_increment(x.as<float>(), kCount, exchange);
      seen.record(exchange);
      compute.wait(seen);
    }
    compute.synchronise();
    EXPECT_EQ(values(x), std::vector<float>(kCount, 6.0f));
  });
}

TEST(DeviceStreams, CommunicationGoesFirst) {
  in_every_schedule([] {
    const Gpu gpu;
    const auto priority = [&](StreamKind kind) {
      const Stream stream(gpu, kind);
      int number = 0;
      require_cuda(cudaStreamGetPriority(stream, &number), "cudaStreamGetPriority");
      return number;
    };
    EXPECT_LT(priority(StreamKind::communication), priority(StreamKind::compute));
    EXPECT_EQ(priority(StreamKind::transfer), priority(StreamKind::compute));
  });
}

// CUDA treats an event that was never recorded as complete.
TEST(DeviceStreams, AnEventIsWaitedForOnlyOnceItIsRecorded) {
  in_every_schedule([] {
    const Gpu gpu;
    const Stream stream(gpu, StreamKind::compute);
    Event event(gpu);
    EXPECT_THROW(stream.wait(event), InternalError);
    EXPECT_THROW(event.synchronise(), InternalError);
    event.record(stream);
    stream.wait(event);
    event.synchronise();
  });
}

// Using a moved-from stream must fail: its null handle would mean CUDA's default stream.
TEST(DeviceStreams, WhatWasMovedFromIsNotUsed) {
  in_every_schedule([] {
    const Gpu gpu;
    Stream stream(gpu, StreamKind::compute);
    Event event(gpu);
    event.record(stream);
    const Stream other = std::move(stream);
    EXPECT_THROW(stream.get(), InternalError);  // NOLINT(bugprone-use-after-move)
    Event moved = std::move(event);
    EXPECT_THROW(event.record(other), InternalError);  // NOLINT(bugprone-use-after-move)
    EXPECT_THROW(other.wait(event), InternalError);    // NOLINT(bugprone-use-after-move)
    other.wait(moved);
    moved.record(other);
  });
}

TEST(DeviceStreams, AnEventOutlivesItsStream) {
  in_every_schedule([] {
    const Gpu gpu;
    const Arena arena(gpu, kBytes, "test");
    const DeviceBytes x = arena.at(0, kBytes);
    Event done(gpu);
    {
      const Stream stream(gpu, StreamKind::compute);
      require_cuda(cudaMemsetAsync(x.as<float>(), 0, kBytes, stream), "fill");
      run_increment(x.as<float>(), kCount, stream);
      done.record(stream);
    }
    const Stream second(gpu, StreamKind::compute);
    second.wait(done);
    run_increment(x.as<float>(), kCount, second);
    second.synchronise();
    EXPECT_EQ(values(x), std::vector<float>(kCount, 2.0f));
  });
}

TEST(DeviceStreams, TimeRunsBetweenEvents) {
  in_every_schedule([] {
    const Gpu gpu;
    const Stream stream(gpu, StreamKind::compute);
    const Arena arena(gpu, kBytes, "test");
    const DeviceBytes x = arena.at(0, kBytes);
    require_cuda(cudaMemsetAsync(x.as<float>(), 0, kBytes, stream), "fill");
    Event begin(gpu, Timing::on), end(gpu, Timing::on), untimed(gpu);
    begin.record(stream);
    run_increment(x.as<float>(), kCount, stream);
    end.record(stream), untimed.record(stream);
    untimed.synchronise();
    EXPECT_GT(end.milliseconds_since(begin), 0.0f);
    EXPECT_THROW(untimed.milliseconds_since(begin), InternalError);
  });
}

TEST(Arenas, SlotsAreAlignedAndInside) {
  in_every_schedule([] {
    const Gpu gpu;
    const Arena arena(gpu, 1000, "test");
    EXPECT_EQ(arena.size(), 1000u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.at(768, 4).as<float>()) % 256, 0u);
    EXPECT_EQ(arena.at(768, 232).size(), 232u);
    EXPECT_EQ(arena.at(768, 232).part(232, 0).size(), 0u);
    EXPECT_THROW(arena.at(768, 233), InternalError);
    EXPECT_THROW(arena.at(1024, 0), InternalError);
    EXPECT_THROW(arena.at(0, SIZE_MAX), InternalError);
    EXPECT_THROW(arena.at(256, SIZE_MAX - 100), InternalError);
    EXPECT_THROW(arena.at(128, 4), InternalError);
    EXPECT_THROW(arena.at(0, 5).as<float>(), InternalError);
    EXPECT_THROW(arena.at(0, 8).part(2, 4).as<float>(), InternalError);
    EXPECT_EQ(Arena(gpu, 0, "nothing").at(0, 0).size(), 0u);
  });
}

// Copies are impossible, so nothing is freed twice; dereferencing is impossible, so the host cannot
// read device memory.
template <class T>
concept Readable = requires(T t) {
  *t;
}
|| requires(T t) { t[0]; }
|| requires(T t) { t.data(); };
static_assert(!std::is_copy_constructible_v<Arena> && !std::is_copy_assignable_v<Arena>);
static_assert(!std::is_copy_constructible_v<Stream> && !std::is_copy_constructible_v<Event>);
static_assert(!Readable<DeviceBytes> && !std::is_convertible_v<DeviceBytes, void*>);

TEST(Arenas, AreFreedOnceWhenTheDeviceIsDone) {
  in_every_schedule([] {
    const Gpu gpu;
    const Stream stream(gpu, StreamKind::compute);
    size_t before = 0, within = 0, after = 0, total = 0;
    require_cuda(cudaMemGetInfo(&before, &total), "cudaMemGetInfo");
    {
      Arena arena(gpu, size_t{4} << 20, "test");
      require_cuda(cudaMemsetAsync(arena.at(0, kBytes).as<float>(), 0, kBytes, stream), "fill");
      run_increment(arena.at(0, kBytes).as<float>(), kCount, stream);
      const Arena moved = std::move(arena);
      require_cuda(cudaMemGetInfo(&within, &total), "cudaMemGetInfo");
    }
    require_cuda(cudaMemGetInfo(&after, &total), "cudaMemGetInfo");
    EXPECT_LE(within + (size_t{4} << 20), before);
    EXPECT_EQ(after, before);
  });
}

TEST(Arenas, SayWhatIsMissing) {
  in_every_schedule([] {
    Gpu gpu({.rank = 2});
    const Stream stream(gpu, StreamKind::compute);
    try {
      const Arena arena(gpu, size_t{1} << 50, "activations");
      ADD_FAILURE() << "a pebibyte";
    } catch (const ResourceError& e) {
      EXPECT_THAT(
          e.what(),
          ::testing::MatchesRegex(
              "rank 2, device 0: cannot allocate 1048576.00 GiB for activations: [0-9]+.[0-9][0-9] "
              "of [0-9]+.[0-9][0-9] GiB are free; set train.recompute, lower train.micro_batch, or "
              "end other programs on the device .see nvidia-smi."));
    }
    gpu.run("next", stream, [] {});  // not affected by the earlier error
  });
}

}  // namespace
}  // namespace birkhoff::testing
