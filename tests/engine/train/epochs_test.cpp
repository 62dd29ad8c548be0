#include "engine/train/epochs.h"

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Epochs, ArePassesOverTheWindows) {
  const Epochs e{.windows = 200, .batch = 8, .sequence = 256};
  EXPECT_EQ(e.of(0), 0);
  EXPECT_EQ(e.of(300), 1.5);
  EXPECT_EQ(Epochs{}.of(300), -1);
  // Steps 11 to 30 of 8 windows each, after 80 windows: from 80 / 200 to 240 / 200.
  EXPECT_THAT(e.outlook(80, 11, 30),
              AllOf(HasSubstr("200 training windows of 256 tokens"), HasSubstr("steps 11 to 30"),
                    HasSubstr("epoch 0.40 to 1.20")));
  EXPECT_EQ(e.outlook(80, 31, 30), "");
  EXPECT_EQ(Epochs{}.outlook(0, 1, 30), "");
}

TEST(Epochs, MoreThanFourAreWarnedAbout) {
  const Epochs e{.windows = 200, .batch = 8, .sequence = 256};
  EXPECT_EQ(e.warning(0, 1, 100), "");  // 800 windows: 4 times
  EXPECT_THAT(e.warning(0, 1, 101), AllOf(HasSubstr("by step 101"), HasSubstr("at most 100")));
  EXPECT_THAT(e.warning(400, 51, 110), HasSubstr("4.4 times"));
  EXPECT_EQ(e.warning(8000, 1001, 1000), "");  // nothing is left to train
  EXPECT_EQ(Epochs{.batch = 8}.warning(0, 1, 1000), "");
}

TEST(OtherBits, AreOfAnotherNumberOfRanksWithoutGroups) {
  EXPECT_THAT(other_bits(1, 2, 1),
              AllOf(HasSubstr("1 rank, but 2 resume it"), HasSubstr("last bits")));
  EXPECT_THAT(other_bits(4, 1, 1), HasSubstr("4 ranks, but 1 resumes it"));
  EXPECT_EQ(other_bits(2, 2, 1), "");
  EXPECT_EQ(other_bits(0, 2, 1), "");  // an older checkpoint does not say
  EXPECT_EQ(other_bits(1, 2, 2), "");
}

}  // namespace
}  // namespace birkhoff
