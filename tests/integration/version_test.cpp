#include <gmock/gmock.h>

#include "base/format.h"
#include "tests/support/subprocess.h"

namespace birkhoff::testing {
namespace {

// The binary starts on any machine it was built for, and reports what there is to run on.
TEST(Version, SaysWhatWasBuiltAndFound) {
  const Finished ran = birkhoff({"--version"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, ::testing::ContainsRegex("^birkhoff [0-9]+\\.[0-9]+\\.[0-9]+\ncuda: "));
  EXPECT_THAT(ran.out, ::testing::AnyOf(::testing::HasSubstr("\ncuda: built without CUDA\n"),
                                        ::testing::ContainsRegex("\ncuda: runtime 1[0-9]\\..*"
                                                                 "\ndriver: .*\ncublasLt: .*"
                                                                 "\nnccl: .*\nnvtx: .*"
                                                                 "\ndevices: ")));
}

TEST(Version, IsAnErrorWhereNobodyCanReadIt) {
  for (const char* option : {"--version", "--help"}) {
    const Finished ran =
        run_program({"/bin/sh", "-c", fmt::format("{} {} > /dev/full", BIRKHOFF_BINARY, option)});
    EXPECT_EQ(ran.code, 5) << option;
    EXPECT_THAT(ran.err, ::testing::HasSubstr("standard output")) << option;
  }
}

}  // namespace
}  // namespace birkhoff::testing
