#include "engine/config/load.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "engine/config/yaml_tree.h"
#include "tests/engine/config/refusal.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

Config parsed(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return parse_config(text, "x.yaml", overrides);
}

TEST(Load, NothingGivesTheDefaults) {
  EXPECT_EQ(parsed(""), Config());
  EXPECT_EQ(parsed("optim:\nmodel: {}\n"), Config());
}

TEST(Load, SetsWhatTheFileSays) {
  Config expected;
  expected.seed = UINT64_MAX;
  expected.device = DeviceChoice::cpu;
  expected.run.dir = "2024 \"q\" \\ é #";
  expected.data.cross_documents = true;
  expected.data.predict_across_documents = false;
  expected.model.residual = ResidualKind::plain;
  expected.model.norm_eps = 1e-6;
  expected.train.recompute = kRecomputeAuto;
  expected.checkpoint.keep = kKeepAll;
  expected.checkpoint.on_error = OnError::proceed;
  expected.optim.step_points = {0.5};
  expected.optim.step_factors = {0.1};
  expected.parallel.schedule = PipelineSchedule::dualpipe_v;
  EXPECT_EQ(parsed("seed: 18446744073709551615\n"
                   "device: cpu\n"
                   "run: {dir: \"2024 \\\"q\\\" \\\\ é #\"}\n"
                   "data:\n  cross_documents: true\n  predict_across_documents: false\n"
                   "model:\n  residual: plain\n  norm_eps: 1e-6\n"
                   "train:\n  recompute: auto\n"
                   "checkpoint:\n  keep: all\n  on_error: continue\n"
                   "optim:\n  step_points: [0.5]\n  step_factors:\n  - 0.1\n"
                   "parallel:\n  schedule: dualpipe_v\n"),
            expected);
}

struct Bad {
  const char* text;
  const char* line;
};

class BadConfig : public ::testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedWithItsLine) { EXPECT_EQ(refusal(GetParam().text), GetParam().line); }

INSTANTIATE_TEST_SUITE_P(
    Keys, BadConfig,
    ::testing::Values(
        Bad{"optim:\n  leaning_rate: 1\n",
            "x.yaml:2:3: optim.leaning_rate: unknown key; did you mean 'optim.lr'?"},
        Bad{"optm:\n  lr: 1\n", "x.yaml:1:1: optm: unknown section; did you mean 'optim'?"},
        Bad{"train:\n  lr: 1\n", "x.yaml:2:3: train.lr: unknown key; did you mean 'optim.lr'?"},
        Bad{"optim.lr: 1\n", "x.yaml:1:1: optim.lr: in a file, write it nested: optim: {lr: ...}"},
        Bad{"lr: 1\n", "x.yaml:1:1: lr: unknown key; did you mean 'optim.lr'?"},
        Bad{"model:\n  hidden_size: 1\n",
            "x.yaml:2:3: model.hidden_size: unknown key; did you mean 'model.dim'?"},
        Bad{"model:\n  wibbly_wobbly: 1\n", "x.yaml:2:3: model.wibbly_wobbly: unknown key"},
        Bad{"model:\n  \"a\\x1b[2Jb\": 1\n", "x.yaml:2:3: model.a\\x1b[2Jb: unknown key"},
        Bad{"qqqqqqqqqq: {a: 1}\n", "x.yaml:1:1: qqqqqqqqqq: unknown section"},
        Bad{"<<: {a: 1}\n", "x.yaml:1:1: <<: merge keys are not supported; use extends"},
        Bad{"model: 3\n", "x.yaml:1:8: model: is a section; write its keys below it, indented"},
        Bad{"seed: 1\nseed: 2\n", "x.yaml:2:1: seed: given twice, first on line 1"},
        Bad{"- a\n", "x.yaml:1:1: expects sections and keys"},
        Bad{"a\n", "x.yaml:1:1: expects sections and keys"},
        Bad{"extends: a.yaml\n", "x.yaml:1:10: extends: only a file can extend another"},
        Bad{"optim: {lr: [1}\n", "x.yaml:1:15: not YAML: illegal flow end"}));

INSTANTIATE_TEST_SUITE_P(
    Types, BadConfig,
    ::testing::Values(
        Bad{"model: {dim: x}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found 'x'"},
        Bad{"model: {dim: \"128\"}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found the quoted text "
            "'128'"},
        Bad{"model: {dim: 1e2}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found '1e2'"},
        Bad{"model: {dim: 0x80}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found '0x80'"},
        Bad{"model: {dim: 0128}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found '0128' (leading "
            "zeros are not allowed)"},
        Bad{"model: {dim: [1]}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found a list"},
        Bad{"model: {dim: {a: 1}}",
            "x.yaml:1:14: model.dim: expects an integer from 1 to 65536, found a section"},
        Bad{"model:\n  dim:\n",
            "x.yaml:2:3: model.dim: expects an integer from 1 to 65536, found nothing"},
        Bad{"seed: -1",
            "x.yaml:1:7: seed: -1 is out of range; expects an integer from 0 to "
            "18446744073709551615"},
        Bad{"optim: {lr: fast}",
            "x.yaml:1:13: optim.lr: expects a number from 0 to 10, found 'fast'"},
        Bad{"optim: {lr: .nan}",
            "x.yaml:1:13: optim.lr: expects a number from 0 to 10, found "
            "'.nan' (not a finite double)"},
        Bad{"optim: {lr: 1e999}",
            "x.yaml:1:13: optim.lr: expects a number from 0 to 10, found "
            "'1e999' (not a finite double)"},
        Bad{"optim: {step_points: 0.5}",
            "x.yaml:1:22: optim.step_points: expects a list of numbers from 0 to 1, found '0.5'"},
        Bad{"optim: {step_points: [0.5, x]}",
            "x.yaml:1:22: optim.step_points: expects a list of numbers from 0 to 1, found 'x'"},
        Bad{"data: {cross_documents: yes}",
            "x.yaml:1:25: data.cross_documents: expects true or false, found 'yes'"},
        Bad{"run: {dir: }", "x.yaml:1:7: run.dir: expects text, found nothing"},
        Bad{"model: {residual: mch}",
            "x.yaml:1:19: model.residual: expects plain, hc or mhc, found "
            "'mch'; did you mean 'mhc'?"},
        Bad{"train: {recompute: 0}",
            "x.yaml:1:20: train.recompute: 0 is out of range; expects "
            "none, auto or an integer from 1 to 8192"}));

INSTANTIATE_TEST_SUITE_P(
    Ranges, BadConfig,
    ::testing::Values(
        Bad{"model: {dim: 0}",
            "x.yaml:1:14: model.dim: 0 is out of range; expects an integer from 1 to 65536"},
        Bad{"model: {dim: 99999999999999999999}",
            "x.yaml:1:14: model.dim: 99999999999999999999 is out of range; expects an integer from "
            "1 to 65536"},
        Bad{"optim: {lr: -1e-3}",
            "x.yaml:1:13: optim.lr: -0.001 is out of range; expects a number from 0 to 10"},
        Bad{"optim: {eps: 0}",
            "x.yaml:1:14: optim.eps: 0 is out of range; expects a number from 1e-37 to 1"},
        Bad{"optim: {step_points: [0.5, 1.5]}",
            "x.yaml:1:22: optim.step_points: 1.5 is out of "
            "range; expects a list of numbers from 0 to 1"}));

INSTANTIATE_TEST_SUITE_P(
    Together, BadConfig,
    ::testing::Values(
        Bad{"moe:\n  experts: 4\n  active: 5\n",
            "x.yaml:3:3: moe.active: 5 is more than moe.experts (4)"},
        Bad{"moe:\n  experts: 1\n", "x.yaml: moe.active: 2 is more than moe.experts (1)"},
        // A faulty value is not reported a second time.
        Bad{"moe:\n  experts: 4x\n  active: 9\n",
            "x.yaml:2:12: moe.experts: expects an integer from 1 to 65536, found '4x'"},
        Bad{"# all at once\n"
            "seed: one\n"
            "modle:\n"
            "  dims: 3\n"
            "  layers: 0\n"
            "optim:\n"
            "  lr: 1\n"
            "  lr: 2\n"
            "  sheduler: step\n"
            "train:\n"
            "  micro_batch: 32\n",
            "x.yaml:8:3: optim.lr: given twice, first on line 7\nx.yaml:2:7: seed: expects an "
            "integer from 0 to 18446744073709551615, found 'one'\nx.yaml:3:1: modle: unknown "
            "section; did you mean 'model'?\nx.yaml:4:3: model.dims: unknown key; did you mean "
            "'model.dim'?\nx.yaml:5:11: model.layers: 0 is out of range; expects an integer from 1 "
            "to 4096\nx.yaml:9:3: optim.sheduler: unknown key; did you mean "
            "'optim.schedule'?\nx.yaml:11:3: train.micro_batch: 32 is more than train.global_batch "
            "(16)"}));

TEST(Load, ManyFaultsAreCounted) {
  std::string text;
  for (int i = 0; i < 130; ++i) text += fmt::format("zzzzzzzzz{}: 1\n", i);
  const std::string message = refusal(text);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 100);
  EXPECT_TRUE(message.ends_with("\n... and 30 more"));
}

TEST(Load, OverridesWinAndTheLastOfThemMost) {
  Config expected;
  expected.optim.lr = 3e-4;
  expected.optim.step_points = {0.5, 0.75};
  expected.run.dir = "a=b: #c";
  expected.data.path = "[x]";
  EXPECT_EQ(parsed("optim: {lr: 1e-2}", {"optim.lr=1", "optim.lr=3e-4", "run.dir=a=b: #c",
                                         "data.path=\"[x]\"", "optim.step_points=[0.5, 0.75]"}),
            expected);
}

struct BadOverride {
  const char* text;
  const char* line;
};

class Overrides : public ::testing::TestWithParam<BadOverride> {};

TEST_P(Overrides, AreRefusedWithTheirLine) {
  EXPECT_EQ(refusal("", {GetParam().text}), GetParam().line);
}

INSTANTIATE_TEST_SUITE_P(
    All, Overrides,
    ::testing::Values(
        BadOverride{"optim.lr=x",
                    "command line: optim.lr: expects a number from 0 to 10, found 'x'"},
        BadOverride{"optim.rl=1", "command line: optim.rl: unknown key; did you mean 'optim.lr'?"},
        BadOverride{"lr=1", "command line: lr: unknown key; did you mean 'optim.lr'?"},
        BadOverride{"modle.dim=1",
                    "command line: modle.dim: unknown key; did you mean 'model.dim'?"},
        BadOverride{
            "optim={lr: 1}",
            "command line: optim: is a section; set one of its keys, as in optim.key=value"},
        BadOverride{"optim.lr", "command line: 'optim.lr' is not of the form key=value"},
        BadOverride{"optim.lr=",
                    "command line: optim.lr: expects a number from 0 to 10, found nothing"},
        BadOverride{"=1", "command line: '=1' is not of the form key=value"},
        BadOverride{"extends=a.yaml", "command line: extends: can only be set in a file"},
        BadOverride{"optim.step_points=[0.5",
                    "command line: optim.step_points: a key must be plain text, and every bracket "
                    "must be closed"},
        BadOverride{"optim.step_points=[0.5] 1",
                    "command line: optim.step_points: text after the end of the document"},
        BadOverride{"run.dir=a\x1b", "command line: run.dir: control character 0x1b"},
        BadOverride{"moe.active=9", "command line: moe.active: 9 is more than moe.experts (8)"}));

// Tests of files, in a directory of their own.
class Files : public ::testing::Test {
 protected:
  Files() {
    old_ = std::filesystem::current_path();
    std::filesystem::current_path(dir_);
  }
  ~Files() override { std::filesystem::current_path(old_); }
  static void write(const Path& path, std::string_view text) {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  static std::string refused(const Path& path) {
    try {
      load_config(path);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "accepted";
  }
  Scratch scratch_;
  const Path dir_ = scratch_.path();
  Path old_;
};

TEST_F(Files, AChildExtendsItsParentAndWins) {
  write("base/a.yaml", "model: {dim: 64, heads: 2}\nseed: 7\n");
  write("base/b.yaml", "extends: a.yaml\nmodel: {heads: 8}\n");
  write("c.yaml", "model: {layers: 9}\nextends: base/b.yaml\nseed: 9\n");
  Config expected;
  expected.model.dim = 64;
  expected.model.heads = 8;
  expected.model.layers = 9;
  expected.seed = 9;
  EXPECT_EQ(load_config("c.yaml"), expected);
  EXPECT_EQ(load_config(dir_ / "c.yaml"), expected);
}

TEST_F(Files, FaultsOfParentAndChildAreToldInOnePass) {
  write("a.yaml", "seed: x\n");
  write("b.yaml", "extends: a.yaml\nmoe:\n  active: 9\n  shard: 3\n");
  EXPECT_EQ(refused("b.yaml"),
            "a.yaml:1:7: seed: expects an integer from 0 to 18446744073709551615, found 'x'\n"
            "b.yaml:4:3: moe.shard: unknown key; did you mean 'moe.shared'?\n"
            "b.yaml:3:3: moe.active: 9 is more than moe.experts (8)");
}

TEST_F(Files, ExtendsRefusesCyclesChainsAndStrangePaths) {
  write("self.yaml", "extends: ./self.yaml\n");
  EXPECT_EQ(refused("self.yaml"), "self.yaml:1:10: extends: './self.yaml' extends itself");
  write("p.yaml", "extends: q.yaml\n");
  write("q.yaml", "extends: d/../p.yaml\n");
  EXPECT_EQ(refused("p.yaml"), "q.yaml:1:10: extends: 'd/../p.yaml' extends itself");
  for (int i = 0; i < 9; ++i)
    write(fmt::format("{}.yaml", i), fmt::format("extends: {}.yaml", i + 1));
  write("9.yaml", "");
  EXPECT_EQ(refused("2.yaml"), "accepted");
  EXPECT_EQ(refused("1.yaml"), "8.yaml:1:10: extends: the chain of extends is longer than 8 files");
  write("abs.yaml", "extends: /etc/passwd\n");
  EXPECT_EQ(refused("abs.yaml"), "abs.yaml:1:10: extends: expects a path relative to this file");
  write("list.yaml", "extends: [9.yaml]\n");
  EXPECT_EQ(refused("list.yaml"), "list.yaml:1:10: extends: expects the path of a config file");
  write("gone.yaml", "extends: nowhere.yaml\n");
  EXPECT_EQ(refused("gone.yaml"),
            "gone.yaml:1:10: extends: cannot open nowhere.yaml: No such file or directory");
}

TEST_F(Files, WhatIsNoConfigFileIsAConfigError) {
  EXPECT_EQ(refused("nope.yaml"), "config: cannot open nope.yaml: No such file or directory");
  EXPECT_EQ(refused("."), "config: . is not a regular file");
  ASSERT_EQ(mkfifo("pipe", 0600), 0);
  EXPECT_EQ(refused("pipe"), "config: pipe is not a regular file");
  write("big.yaml", std::string(kYamlMaxBytes + 1, ' '));
  EXPECT_EQ(refused("big.yaml"),
            "config: big.yaml has 1048577 bytes, more than the 1048576 allowed here");
}

AllowedChanges allowed(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return parsed(text, overrides).run.allow_changes;
}

TEST(AllowChanges, IsTrueFalseOrAListOfKeys) {
  const AllowedChanges keys{.keys = {"optim.lr", "data.path"}};
  EXPECT_EQ(allowed("run: {allow_changes: true}\n"), AllowedChanges{.all = true});
  EXPECT_EQ(allowed("run: {allow_changes: false}\n"), AllowedChanges{});
  EXPECT_EQ(allowed("run: {allow_changes: []}\n"), AllowedChanges{});
  EXPECT_EQ(allowed("run: {allow_changes: [optim.lr, data.path]}\n"), keys);
  EXPECT_EQ(allowed("run:\n  allow_changes:\n  - optim.lr\n  - 'data.path'\n"), keys);
  for (const char* text :
       {"run.allow_changes=[optim.lr,data.path]", "run.allow_changes=[optim.lr, data.path]",
        "run.allow_changes=optim.lr,data.path", "run.allow_changes=optim.lr, data.path"})
    EXPECT_EQ(allowed("run: {allow_changes: true}\n", {text}), keys) << text;
  EXPECT_TRUE(keys.allows("optim.lr"));
  EXPECT_FALSE(keys.allows("optim.lr2"));
  EXPECT_FALSE(keys.allows("optim"));
  EXPECT_TRUE(AllowedChanges{.all = true}.allows("seed"));
  EXPECT_FALSE(AllowedChanges{}.allows("seed"));
}

TEST(AllowChanges, KnowsItsKeys) {
  EXPECT_EQ(
      refusal("", {"run.allow_changes=optim.l,seed"}),
      "command line: run.allow_changes: 'optim.l' is not a config key; did you mean 'optim.lr'?");
  EXPECT_EQ(refusal("run: {allow_changes: maybe}\n"),
            "x.yaml:1:7: run.allow_changes: 'maybe' is not a config key");
  EXPECT_EQ(refusal("run: {allow_changes: [[seed]]}\n"),
            "x.yaml:1:22: run.allow_changes: expects true, false or a list of keys, as in "
            "[optim.lr, data.path], found a list");
  EXPECT_EQ(refusal("", {"run.allow_changes="}).find("command line: run.allow_changes: expects"),
            0u);
}

// Keys written as on the command line: what was meant is clear.
TEST(Load, ADottedKeyIsToBeNested) {
  EXPECT_EQ(refusal("data.path: d\n", {}, Use::training),
            "x.yaml:1:1: data.path: in a file, write it nested: data: {path: ...}");
  EXPECT_EQ(refusal("data.pth: d\n", {}, Use::training),
            "x.yaml:1:1: data.pth: unknown key; did you mean 'data.path'?; in a file, write it "
            "nested: data: {path: ...}");
  EXPECT_EQ(refusal("a.b.c: 1\n"),
            "x.yaml:1:1: a.b.c: unknown key; in a file, write the section on a line of its own and "
            "its keys below it, indented");
}

// One fault, one line: each of these also leaves data.path unset.
TEST(Load, WhatFollowsFromAFaultIsNotTold) {
  for (const auto& [text, fault] :
       {std::pair{"data:\n  path: d\nmodel:\n\tdim: 64\n",
                  "x.yaml:4:1: a tab is used for indentation; use spaces"},
        {"data:\n  pth: d\n", "x.yaml:2:3: data.pth: unknown key; did you mean 'data.path'?"},
        {"data: d\n", "x.yaml:1:7: data: is a section; write its keys below it, indented"},
        {"model: {dim: [\n", ""},
        {"%YAML 1.2\n", "x.yaml:1:1: directives are not supported; remove the line"}}) {
    const std::string told = refusal(text, {}, Use::training);
    EXPECT_EQ(told.find('\n'), std::string::npos) << told;
    if (*fault) {
      EXPECT_EQ(told, fault);
    }
  }
  EXPECT_EQ(refusal("", {"data.pth=d"}, Use::training),
            "command line: data.pth: unknown key; did you mean 'data.path'?");
  EXPECT_EQ(refusal("model: {dim: 64}\n", {}, Use::training),
            "x.yaml: data.path: is empty; set it to a dataset, or set data.source: random");
}

TEST(Load, WhatWouldBecomeZeroIsOutOfRange) {
  for (const std::string key :
       {"optim.eps", "model.norm_eps", "model.kv_norm_eps", "moe.scaling"}) {
    EXPECT_NE(refusal("", {key + "=1e-300"}).find(key + ": 1e-300 is out of range"),
              std::string::npos);
    EXPECT_NE(refusal("", {key + "=1e-46"}), "accepted");
    EXPECT_EQ(refusal("", {key + "=1e-37"}), "accepted");
  }
}

}  // namespace
}  // namespace birkhoff::testing
