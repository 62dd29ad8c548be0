// Puts the scratch directories of these tests in memory if there is room for them: what a disk
// would do is replayed, not waited for. On a disk the tests take 20 times as long. At the end a
// line reports the number of runs.
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/faults/recording.h"

namespace {

constexpr const char* kPlace = "/dev/shm/";
constexpr size_t kRoom = size_t(48) << 20;  // ten times what a test holds at a time

class Surroundings : public ::testing::Environment {
 public:
  void SetUp() override {
    struct statvfs s;
    if (access(kPlace, W_OK | X_OK) == 0 && statvfs(kPlace, &s) == 0 &&
        size_t(s.f_bavail) * s.f_frsize > kRoom)
      setenv("TEST_TMPDIR", kPlace, 0);
  }
  void TearDown() override { std::printf("%zu runs\n", birkhoff::testing::runs()); }
};

[[maybe_unused]] const auto* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new Surroundings);

}  // namespace
