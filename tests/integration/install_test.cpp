// What `cmake --install` leaves works by itself, from a directory of the user's choice.
#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

TEST(Install, WhatIsInstalledWorks) {
  const SmallRun small;
  const std::string prefix = small.at("usr local");
  const Finished done =
      run_program({CMAKE_PROGRAM, "--install", BIRKHOFF_BUILD, "--prefix", prefix});
  ASSERT_EQ(done.code, 0) << done.err;
  const std::string binary = prefix + "/bin/birkhoff", share = prefix + "/share/birkhoff";

  EXPECT_EQ(run_program({binary, "--version"}).out, birkhoff({"--version"}).out);
  const Finished plan = run_program({binary, "plan", share + "/configs/3b-hc.yaml", "--json"});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_EQ(plan.out, birkhoff({"plan", BIRKHOFF_SOURCE_DIR "/configs/3b-hc.yaml", "--json"}).out);

  for (const std::string& launcher :
       {prefix + "/bin/birkhoff-mpirun", share + "/launch/mpirun.sh"}) {
    const std::string run = "run.dir=" + small.at("run");
    const Finished trained =
        run_program({launcher, "-np", "2", binary, "train", small.at("small.yaml"), run});
    EXPECT_EQ(trained.code, 0) << trained.err;
    std::filesystem::remove_all(small.at("run"));
  }
  for (const char* file : {"birkhoff/scripts/report.py", "doc/birkhoff/README.md",
                           "doc/birkhoff/LICENSE", "doc/birkhoff/docs/reliability.md"})
    EXPECT_TRUE(std::filesystem::exists(prefix + "/share/" + file)) << file;
}

}  // namespace
}  // namespace birkhoff::testing
