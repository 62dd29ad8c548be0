// What a user reads after a typo: the word at fault, and what was likely meant.
#include <gmock/gmock.h>

#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string refused(std::vector<std::string> arguments, int code = 2) {
  const Finished ran = birkhoff(std::move(arguments));
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  return ran.err;
}

TEST(Messages, UnknownSubcommands) {
  EXPECT_THAT(refused({"data", "prep"}), AllOf(HasSubstr("unknown subcommand 'data prep'"),
                                               HasSubstr("did you mean 'prepare'?")));
  EXPECT_THAT(refused({"data", "zzz"}), AllOf(HasSubstr("unknown subcommand 'data zzz'"),
                                              HasSubstr("inspect"), HasSubstr("verify")));
  EXPECT_THAT(refused({"data", "prepair"}), HasSubstr("did you mean 'prepare'?"));
  EXPECT_THAT(refused({"trian", "c.yaml"}),
              AllOf(HasSubstr("unknown subcommand 'trian'"), HasSubstr("did you mean 'train'?")));
}

TEST(Messages, UnknownOptions) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"train", "--hlep", "c.yaml"},
        {"train", "--hlep"},
        {"train", "c.yaml", "--hlep"},
        {"score", "r", "--text", "t", "--jsn"},
        {"--vresion"},
        {"data", "prepare", "--uot=x", "f"}}) {
    const std::string& word = *std::find_if(arguments.begin(), arguments.end(), [](const auto& a) {
      return a.starts_with("--") && a != "--text";
    });
    EXPECT_THAT(refused(arguments),
                AllOf(HasSubstr(word.substr(0, word.find('='))), HasSubstr("did you mean '--")));
  }
  EXPECT_THAT(refused({"train", "--hlep"}), HasSubstr("did you mean '--help'?"));
}

TEST(Messages, OfCorrectWordsAreNotOfUnknownOnes) {
  EXPECT_THAT(refused({"train"}),
              AllOf(HasSubstr("config is required"), Not(HasSubstr("unknown"))));
  EXPECT_THAT(refused({"sample", "--prompt", "--hlep"}), Not(HasSubstr("unknown")));
  EXPECT_THAT(refused({"data"}), HasSubstr("subcommand is required"));
}

TEST(Messages, AdviceFits) {
  const SmallRun small;
  spill(small.at("broken.jsonl"), "{\"text\": \"x\n");
  spill(small.at("field.jsonl"), "{\"body\": \"x\"}\n");
  EXPECT_THAT(refused({"data", "prepare", "--out", small.at("z"), small.at("broken.jsonl")}, 3),
              Not(HasSubstr("--field")));
  EXPECT_THAT(refused({"data", "prepare", "--out", small.at("z"), small.at("field.jsonl")}, 3),
              HasSubstr("--field"));
  EXPECT_THAT(refused({"train", small.at("small.yaml"), "optim.eps=1e-300"}),
              AllOf(HasSubstr("optim.eps"), HasSubstr("from 1e-37 to 1")));
  ASSERT_EQ(small.with_config("train", {"train.stop_at=1"}).code, 0);
  spill(small.at("big"), std::string(70'000'000, ' '));
  EXPECT_THAT(refused({"score", small.at("run"), "--text", small.at("big")}, 3),
              AllOf(HasSubstr("split the file"), Not(HasSubstr("permissions"))));
  const Finished help = birkhoff({"train", "--help"});
  EXPECT_THAT(help.out, Not(HasSubstr("a GPU where there is one")));
}

// Warnings of a command whose standard output is for other programs.
TEST(Messages, WarningsDoNotMixWithOutput) {
  const SmallRun small;
  const Finished planned =
      small.with_config("train", {"train.stop_at=1", "optim.warmup_steps=100"});
  EXPECT_EQ(planned.out, "");
  EXPECT_THAT(planned.err, HasSubstr("warm-up"));
}

TEST(Messages, DefaultsDoNotWarnAboutThemselves) {
  const SmallRun small;
  spill(small.at("bare.yaml"), "data: {path: " + small.at("set") + "}\n");
  const Finished ran = birkhoff({"train", small.at("bare.yaml"), "run.dir=" + small.at("bare"),
                                 "train.stop_at=1", "train.global_batch=1", "train.micro_batch=1"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err, Not(HasSubstr("warning: optim.")));
}

}  // namespace
}  // namespace birkhoff::testing
