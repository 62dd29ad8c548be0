#include "base/shared_library.h"

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

constexpr const char* kMissing = "libbirkhoff-has-no-such.so.1";
constexpr const char* kMaths = "libm.so.6";

TEST(SharedLibrary, TheFirstThatIsThere) {
  const char* const names[] = {kMissing, kMaths};
  const SharedLibrary library(names);
  ASSERT_TRUE(library.loaded());
  EXPECT_EQ(library.name(), kMaths);
  EXPECT_EQ(library.why(), "");
  const auto magnitude = library.symbol<double(double)>("fabs");
  ASSERT_NE(magnitude, nullptr);
  EXPECT_EQ(magnitude(-27.0), 27.0);
  EXPECT_EQ(library.symbol<void()>("birkhoff_has_no_such"), nullptr);
}

TEST(SharedLibrary, NoneIsThere) {
  const char* const names[] = {kMissing, "./neither\n"};
  const SharedLibrary library(names);
  EXPECT_FALSE(library.loaded());
  EXPECT_THAT(library.why(), ::testing::HasSubstr(kMissing));
  EXPECT_THAT(library.why(), ::testing::HasSubstr("; ./neither\\x0a"));
  EXPECT_EQ(library.symbol<void()>("fabs"), nullptr);
}

TEST(SharedLibrary, IsMoved) {
  const char* const names[] = {kMaths};
  SharedLibrary first(names);
  const SharedLibrary second = std::move(first);
  EXPECT_FALSE(first.loaded());  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(second.loaded());
  EXPECT_FALSE(SharedLibrary().loaded());
}

}  // namespace
}  // namespace birkhoff
