// Copies through the ring of pinned chunks, in sizes that fit the ring and sizes that do not.
#include "base/cuda/staging.h"

#include <gmock/gmock.h>

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
using cuda::Staging;
using cuda::Stream;
using cuda::StreamKind;

constexpr size_t kChunk = 64;

std::vector<std::byte> pattern(size_t bytes, unsigned seed) {
  std::vector<std::byte> v(bytes);
  for (size_t i = 0; i < bytes; ++i) v[i] = std::byte((i * 37 + i / 251 + seed) & 0xFF);
  return v;
}

struct Rig {
  Gpu gpu;
  Stream stream{gpu, StreamKind::transfer};
  Staging staging;

  explicit Rig(int chunks) : staging(gpu, {.chunk_bytes = kChunk, .chunks = chunks}) {}
};

// Uploads and downloads; the source is overwritten as soon as that is allowed.
TEST(Staging, EverySizeArrives) {
  in_every_schedule([] {
    for (const int chunks : {1, 2, 3})
      for (const size_t bytes : {size_t{0}, size_t{1}, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk,
                                 3 * kChunk + 7, 10 * kChunk, 10 * kChunk + 1}) {
        SCOPED_TRACE(fmt::format("{} bytes by {} chunks", bytes, chunks));
        Rig r(chunks);
        const Arena arena(r.gpu, bytes, "test");
        const std::vector<std::byte> wanted = pattern(bytes, 3);
        std::vector<std::byte> from = wanted, to(bytes);
        r.staging.upload(arena.at(0, bytes), from, r.stream);
        std::fill(from.begin(), from.end(), std::byte{0xEE});
        r.staging.download(to, arena.at(0, bytes), r.stream);
        EXPECT_EQ(to, wanted);
      }
  });
}

// Uploads and downloads of two streams share the ring, in any order.
TEST(Staging, TwoStreamsShareTheRing) {
  in_every_schedule([] {
    Rig r(2);
    const Stream other(r.gpu, StreamKind::transfer);
    constexpr size_t kBytes = 5 * kChunk + 12;
    const Arena a(r.gpu, kBytes, "a"), b(r.gpu, kBytes, "b");
    std::vector<std::byte> to(kBytes);
    for (unsigned round = 0; round < 3; ++round) {
      const auto first = pattern(kBytes, 2 * round), second = pattern(kBytes, 2 * round + 1);
      r.staging.upload(a.at(0, kBytes), first, r.stream);
      r.staging.upload(b.at(0, kBytes), second, other);
      r.staging.download(to, a.at(0, kBytes), r.stream);
      EXPECT_EQ(to, first);
      r.staging.download(to, b.at(0, kBytes), other);
      EXPECT_EQ(to, second);
    }
  });
}

TEST(Staging, AKernelIsBetween) {
  in_every_schedule([] {
    Rig r(2);
    const Stream compute(r.gpu, StreamKind::compute);
    Event there(r.gpu), done(r.gpu);
    constexpr int kCount = 100;
    constexpr size_t kBytes = kCount * sizeof(float);
    const Arena arena(r.gpu, kBytes, "test");
    const DeviceBytes x = arena.at(0, kBytes);
    std::vector<float> values(kCount, 1.0f);
    for (int round = 0; round < 3; ++round) {
      r.staging.upload(x, std::as_bytes(std::span(values)), r.stream);
      there.record(r.stream);
      compute.wait(there);
      run_increment(x.as<float>(), kCount, compute);
      done.record(compute);
      r.stream.wait(done);
      r.staging.download(std::as_writable_bytes(std::span(values)), x, r.stream);
    }
    EXPECT_EQ(values, std::vector<float>(kCount, 4.0f));
  });
}

TEST(Staging, OneSizeOfBothSides) {
  in_every_schedule([] {
    Rig r(2);
    const Arena arena(r.gpu, 256, "test");
    std::vector<std::byte> host(255);
    EXPECT_THROW(r.staging.upload(arena.at(0, 256), host, r.stream), InternalError);
    EXPECT_THROW(r.staging.download(host, arena.at(0, 256), r.stream), InternalError);
    EXPECT_THROW(Staging(r.gpu, {.chunk_bytes = 0}), InternalError);
    EXPECT_THROW(Staging(r.gpu, {.chunks = 0}), InternalError);
  });
}

// The last upload is still in flight when the ring is destroyed.
TEST(Staging, EndsBehindItsCopies) {
  in_every_schedule([] {
    const Gpu gpu;
    const Stream stream(gpu, StreamKind::transfer);
    const Arena arena(gpu, 100, "test");
    const auto wanted = pattern(100, 1);
    Staging(gpu, {.chunk_bytes = kChunk, .chunks = 2}).upload(arena.at(0, 100), wanted, stream);
    std::vector<std::byte> to(100);
    require_cuda(
        cudaMemcpy(to.data(), arena.at(0, 100).as<std::byte>(), 100, cudaMemcpyDeviceToHost),
        "cudaMemcpy");
    EXPECT_EQ(to, wanted);
  });
}

}  // namespace
}  // namespace birkhoff::testing
