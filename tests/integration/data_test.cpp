// `birkhoff data` as a user calls it: output, exit codes, one clear line per error.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdio>

#include "base/error.h"
#include "base/files.h"
#include "tests/engine/data/files.h"
#include "tests/support/subprocess.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

struct Ran {
  int code = -1;
  std::string output;  // stdout and stderr together
};

Ran run_data(const std::string& arguments) {
  const std::string command = BIRKHOFF_BINARY " data " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  check(pipe != nullptr, "cannot start {}", command);
  Ran ran;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    ran.output.append(buffer, n);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

// Expects this code and one line that contains `expected`.
void expect_refused(const std::string& arguments, int code, const std::string& expected) {
  const Ran ran = run_data(arguments);
  EXPECT_EQ(ran.code, code) << arguments << "\n" << ran.output;
  EXPECT_THAT(ran.output, HasSubstr(expected));
  EXPECT_EQ(std::count(ran.output.begin(), ran.output.end(), '\n'), 1) << ran.output;
}

TEST(DataCommand, PreparesInspectsAndVerifies) {
  const Scratch dir;
  put(dir / "in.jsonl", "{\"text\": \"In the beginning\"}\n{\"text\": \"\"}\n{\"text\": \"x\"}\n");
  const std::string prefix = (dir / "set").string(), input = (dir / "in.jsonl").string();
  Ran ran = run_data("prepare --out " + prefix + " " + input);
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("2 documents, 19 tokens of the byte tokenizer, 17 bytes"));
  EXPECT_THAT(ran.output, HasSubstr("1 empty documents skipped"));
  ran = run_data("inspect " + prefix);
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("19 tokens in 2 documents (2 sequences), uint16"));
  EXPECT_THAT(ran.output, HasSubstr("document 0, 17 tokens: \"In the beginning\""));
  ran = run_data("verify " + prefix);
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("are valid; the hashes match the manifest"));
  expect_refused("prepare --out " + prefix + " " + input, 3, "--overwrite");
  EXPECT_EQ(run_data("prepare --overwrite --out " + prefix + " " + input).code, 0);
}

TEST(DataCommand, BadInputIsOneLineAndACode) {
  const Scratch dir;
  const std::string prefix = (dir / "set").string(), out = "prepare --out " + prefix + " ";
  const auto file = [&](const std::string& name, const std::string& text) {
    put(dir / name, text);
    return (dir / name).string();
  };
  expect_refused("verify " + prefix, 3, "no dataset: cannot open");
  expect_refused("inspect " + prefix, 3, "no dataset: cannot open");
  expect_refused(out + prefix + ".missing", 3, "check the input files");
  expect_refused(out + file("empty.txt", ""), 3, "there is no text to prepare");
  expect_refused(out + file("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}\n"), 3, "bad.jsonl:2: ");
  expect_refused(out + "--tokenizer bite " + file("a.txt", "a"), 2, "use 'byte'");
  expect_refused(out + "--split prefix " + file("a.txt", "a"), 2, "--prefix");
  ASSERT_EQ(run_data(out + file("a.txt", "abc")).code, 0);
  expect_refused("verify --vocab 98 " + prefix, 3,
                 "token 1: id 98 is outside the vocabulary of 98");
  put(dir / "set.bin", "abc");
  expect_refused("verify " + prefix, 3, "set.idx: ");
}

TEST(DataCommand, NoInputIsReplaced) {
  const Scratch dir;
  const std::string text = "{\"text\": \"a\"}\n", in = (dir / "set.json").string();
  const std::string out = "prepare --jsonl --out " + (dir / "set").string() + " ";
  put(in, text);
  std::filesystem::create_symlink(in, dir / "link");
  for (const std::string more : {"", "--overwrite "}) {
    expect_refused(out + more + in, 3, "is an input");
    expect_refused(out + more + (dir / "link").string(), 3, "is an input");
    expect_refused(out + more + "- < " + in, 3, "is an input");
    EXPECT_EQ(read_file(in, 100), text);
  }
  put(dir / "other.jsonl", text);
  expect_refused(out + "--overwrite " + (dir / "other.jsonl").string(), 3, "is not the manifest");
  EXPECT_EQ(read_file(in, 100), text);
}

// exec keeps the shell's process id: the input has the name of a temporary file of the program.
TEST(DataCommand, AnInputWithATemporaryNameStays) {
  const Scratch dir;
  const std::string prefix = (dir / "set").string();
  put(dir / "in", "text");
  const std::string script = "cp " + (dir / "in").string() + " " + prefix + ".bin.tmp-$$; exec " +
                             BIRKHOFF_BINARY + " data prepare --out " + prefix + " " + prefix +
                             ".bin.tmp-$$";
  const Finished ran = run_program({"/bin/sh", "-c", script});
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("is an input"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 2);
}

// The program is waiting for its input when the signal comes.
TEST(DataCommand, SignalsLeaveNothing) {
  for (const std::string signal : {"INT", "TERM", "HUP"}) {
    const Scratch dir;
    const std::string prefix = (dir / "set").string();
    // A shell ignores INT for what it starts in the background; env restores the default.
    const std::string script = "mkfifo " + prefix + ".fifo; exec 3<>" + prefix +
                               ".fifo; env --default-signal=INT " + BIRKHOFF_BINARY +
                               " data prepare --out " + prefix +
                               " - <&3 3>&- & "
                               "while [ ! -e " +
                               prefix + ".bin.tmp-$! ]; do sleep 0.01; done; rm " + prefix +
                               ".fifo; "
                               "kill -" +
                               signal + " $!; wait $!";
    const Finished ran = run_program({"/bin/sh", "-c", script});
    EXPECT_EQ(ran.code, 128 + (signal == "INT" ? 2 : signal == "TERM" ? 15 : 1)) << ran.err;
    EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << signal;
  }
}

// What another program has read before is not read again.
TEST(DataCommand, StandardInputIsReadFromWhereItStands) {
  const Scratch dir;
  const std::string prefix = (dir / "set").string();
  put(dir / "in", "first\nsecond\n");
  const std::string script = "(read -r line; exec " BIRKHOFF_BINARY
                             " data prepare --split line "
                             "--out " +
                             prefix + " -) <" + (dir / "in").string();
  const Finished ran = run_program({"/bin/sh", "-c", script});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("1 documents, 7 tokens"));
  EXPECT_THAT(ran.err, HasSubstr("note: all text is one document"));
}

TEST(DataCommand, SkipsBadLinesAndSaysSo) {
  const Scratch dir;
  put(dir / "in.JSON", "{\"text\": \"x\n{\"meta\": {\"text\": \"a\"}}\n");
  const std::string arguments =
      "--field meta.text --out " + (dir / "set").string() + " " + (dir / "in.JSON").string();
  expect_refused("prepare " + arguments, 3, "skip it (--skip-bad N)");
  const Ran ran = run_data("prepare --skip-bad 1 " + arguments);
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("1 bad lines skipped, the first: "));
  EXPECT_THAT(ran.output, HasSubstr("in.JSON:1: not valid JSON: the string that begins at byte 9"));
}

}  // namespace
}  // namespace birkhoff::testing
