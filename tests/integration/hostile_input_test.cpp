// Hostile input to the binary: its exit code, one line, hardly any memory, no signal.
#include <gmock/gmock.h>

#include <algorithm>

#include "base/hash.h"
#include "tests/engine/checkpoint/sample.h"
#include "tests/engine/data/files.h"
#include "tests/support/subprocess.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr size_t kLittle = size_t(64) << 20;

void expect_refused(const std::vector<std::string>& command, int code, const std::string& says) {
  const Finished ran = birkhoff(command, 30);
  EXPECT_EQ(ran.code, code) << says << "\n" << ran.out << ran.err;
  EXPECT_THAT(ran.err, StartsWith("birkhoff: "));
  EXPECT_THAT(ran.err, HasSubstr(says));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_TRUE(std::all_of(ran.err.begin(), ran.err.end(), [](char c) {
    return c == '\n' || (c >= 0x20 && c < 0x7F);
  })) << printable(ran.err);
  EXPECT_LT(ran.peak_bytes, kLittle) << says;
}

std::string repeated(std::string_view part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

TEST(HostileInput, Config) {
  const Scratch dir;
  const std::string file = (dir / "c.yaml").string();
  std::string stairs;
  for (int i = 0; i < 1000; ++i) stairs += std::string(size_t(i), ' ') + "a:\n";
  using namespace std::string_literals;
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"seed: *x\n", "c.yaml:1:"},
           {"seed: &x 1\n", "c.yaml:1:7: seed: anchors are not supported"},
           {"model:\n  <<: {dim: 3}\n", "c.yaml:2:3: model.<<: unknown key"},
           {"<<: {seed: 3}\n", "c.yaml:1:1: <<: merge keys are not supported; use extends"},
           {"seed: 1\nseed: 2\n", "c.yaml:2:1: seed: given twice, first on line 1"},
           {"seed: !!int 1\n", "c.yaml:1:7: seed: tags are not supported"},
           {"seed: 1\n---\nseed: 2\n", "c.yaml:2:1: text after the end of the document"},
           {"%YAML 1.2\n---\nseed: 1\n", "directives are not supported"},
           {repeated("[", 3000) + repeated("]", 3000), "nested deeper than 64 levels"},
           {repeated("- ", 3000), "nested deeper than 64 levels"},
           {stairs, "nested deeper than 64 levels"},
           {std::string(size_t(1) << 20, '[') + "[", "more than the 1048576 allowed here"},
           {std::string(size_t(1) << 20, '['), "c.yaml:1:40001: more than 40000 brackets"},
           {"seed: 1\nrun: {dir: a\0b}\n"s, "c.yaml:2:13: control character 0x00"},
           {"\"\\e[31m\": 1\n", "c.yaml:1:1: \\x1b[31m: unknown key"},
           {"extends: /etc/passwd\n", "expects a path relative to this file"},
           {"extends: c.yaml\n", "extends itself"}}) {
    spill(file, text);
    expect_refused({"plan", file}, 2, says);
  }
  std::filesystem::remove(file);
  std::filesystem::create_symlink("/dev/zero", file);
  expect_refused({"plan", file}, 2, "is not a regular file");
}

TEST(HostileInput, TokenIndex) {
  const Scratch dir;
  const std::string set = (dir / "set").string();
  put(set + ".bin", std::string(10, '\0'));
  const auto refused = [&](const std::string& idx, const std::string& says) {
    put(set + ".idx", idx);
    expect_refused({"data", "inspect", set}, 3, says);
  };
  const RawIndex good{.sizes = {3, 2}, .pointers = {0, 6}, .documents = {0, 1, 2}};
  // Counts whose bytes wrap around to the file's size in 64 bits, and others.
  const uint64_t one = 1;
  for (const auto& [sequences, borders] : {std::pair{one << 62, one * 6},
                                           {one * 2, (one << 61) + 3},
                                           {one << 60, (one << 59) + 6},
                                           {one << 31, one << 31},
                                           {UINT64_MAX, UINT64_MAX}})
    refused(good.bytes().replace(18, 16, le(sequences, 8) + le(borders, 8)), "do not fit");
  RawIndex bad = good;
  bad.sizes = {-1, 6};
  refused(bad.bytes(), "sequence 0 has -1 tokens");
  bad = good, bad.sizes = {2147483647, 2147483647};
  refused(bad.bytes(), "sequence 0 ends after the 10 bytes");
  bad = good, bad.pointers = {0, INT64_MIN};
  refused(bad.bytes(), "sequence 1 begins at byte -9223372036854775808");
  bad = good, bad.documents = {0, INT64_MAX, 2};
  refused(bad.bytes(), "document 1 begins at sequence 9223372036854775807");
  for (const int code : {0, 6, 7, 9, 255}) {
    bad = good, bad.type = code;
    refused(bad.bytes(), fmt::format("dtype code {}", code));
  }
  refused(good.bytes().substr(0, 33), "has 33 bytes");
  put(set + ".idx", good.bytes());
  put(set + ".json", repeated("[", 60000));
  expect_refused({"data", "inspect", set}, 3, "set.json: the manifest is nested deeper than 8");
}

TEST(HostileInput, NamesInAManifest) {
  const Scratch dir;
  const Path path = dir / "step-00000100";
  SampleTensors sample;
  save_checkpoint(path, sample_info(), sample.named(), {});
  const std::string text = slurp(path / "manifest.json"), shard = shard_name(0, 0);
  ASSERT_EQ(birkhoff({"verify", path.string()}).code, 0);
  const std::vector<std::string> names = {"../" + shard,
                                          "/etc/passwd",
                                          "/dev/zero",
                                          "sub/../" + shard,
                                          shard + "\\u0000",
                                          "manifest.json",
                                          "",
                                          "..",
                                          shard + "\\u001b[31m",
                                          "rank-\uFF10000-part-0000.safetensors",
                                          repeated("../", 5000)};
  for (const std::string& name : names) {
    std::string body = text.substr(0, text.find("\"manifest_hash\""));
    body.replace(body.find(shard), shard.size(), name);
    const std::string hash = hash128(std::as_bytes(std::span(body)));
    spill(path / "manifest.json", body + "\"manifest_hash\": \"" + hash + "\"\n}\n");
    expect_refused({"verify", path.string()}, 4, "manifest.json: files[0].name '");
  }
}

TEST(HostileInput, Jsonl) {
  const Scratch dir;
  const std::string file = (dir / "in.jsonl").string(), out = (dir / "out").string();
  using namespace std::string_literals;
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"{\"text\":\"a\"}\0{}\n"s, "in.jsonl:1: not valid JSON: a NUL at byte 12"},
           {"{\"text\":\"a\"}\n{\"text\":\"\x1b[31m\"}\n", "in.jsonl:2: not valid JSON"},
           {"{\"a\":" + repeated("[", 1 << 20) + "\n",
            "in.jsonl:1: JSON is nested deeper than 512"},
           {"{\"text\":\"a\",\"text\":\"b\"}\n", "in.jsonl:1: \"text\" is given twice"}}) {
    spill(file, text);
    expect_refused({"data", "prepare", "--out", out, file}, 3, says);
  }
}

}  // namespace
}  // namespace birkhoff::testing
