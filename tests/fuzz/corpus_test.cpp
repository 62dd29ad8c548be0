// Runs the committed corpus through the fuzzer's entry points, in any build: what the fuzzer once
// found stays found where there is no clang. Linked with base and the formats only.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {

// For GoogleTest's messages.
static void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

const Path kCorpus = Path(BIRKHOFF_SOURCE_DIR) / "tests/fuzz/corpus";

class Corpus : public ::testing::TestWithParam<Target> {};

TEST_P(Corpus, KeepsEveryProperty) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus / GetParam().name)) {
    const std::string bytes = read_file(entry.path(), size_t(4) << 20);
    EXPECT_NO_THROW(run(GetParam(), bytes)) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 5);
}

TEST_P(Corpus, SeedsAreAccepted) {
  int number = 0;
  for (const std::string& seed : seeds(GetParam().name))
    EXPECT_TRUE(run(GetParam(), seed)) << "seed " << number++ << ":\n" << printable(seed, 2000);
  EXPECT_GE(number + int(seeds(GetParam().name).size()), 3);
}

// Every prefix of a seed, and every seed with one byte changed: near misses of accepted inputs.
TEST_P(Corpus, NeighboursOfSeedsKeepEveryProperty) {
  for (const std::string& seed : seeds(GetParam().name)) {
    const size_t stride = seed.size() / 100 + 1;
    for (size_t at = 0; at < seed.size(); at += stride) {
      ASSERT_NO_THROW(run(GetParam(), seed.substr(0, at))) << printable(seed) << " cut at " << at;
      for (const char c : {'\0', '"', '9', '\xFF'}) {
        std::string bytes = seed;
        bytes[at] = c;
        ASSERT_NO_THROW(run(GetParam(), bytes)) << printable(seed) << " changed at " << at;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Corpus, ::testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& of) { return std::string(of.param.name); });

TEST(Formats, HaveNoTransportAndNoDevice) {
  std::ifstream maps("/proc/self/maps");
  std::stringstream all;
  all << maps.rdbuf();
  ASSERT_NE(all.str().find("libyaml-cpp"), std::string::npos) << "the formats are linked";
  for (const char* library :
       {"libmpi", "libopen-rte", "libopen-pal", "libcuda", "libcublas", "libnccl", "libdnnl"})
    EXPECT_EQ(all.str().find(library), std::string::npos) << library;
}

// A target without a corpus folder would be fuzzed from nothing.
TEST(Formats, EveryFolderOfTheCorpusIsATargets) {
  std::set<std::string> folders, names;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus))
    folders.insert(entry.path().filename().string());
  for (const Target& target : targets()) names.emplace(target.name);
  EXPECT_EQ(folders, names);
}

// Tests the harness itself: it must detect violations.
TEST(Properties, AreSeenToFail) {
  EXPECT_THROW(require_message("a\x1b[31m"), PropertyError);
  EXPECT_THROW(require_message("one\ntwo"), PropertyError);
  EXPECT_THROW(require_message("one\n", 2), PropertyError);
  EXPECT_THROW(require_message(""), PropertyError);
  EXPECT_THROW(require_message("caf\xc3\xa9"), PropertyError);
  EXPECT_NO_THROW(require_message("one\ntwo", 2));
  EXPECT_THROW(accepts<DataError>([] { throw ConfigError("another type"); }), ConfigError);
  const auto hungry = [](std::string_view bytes) {
    return std::string(100 * bytes.size(), 'x').size() > 1;
  };
  EXPECT_NO_THROW(run({"hungry", hungry, 1000, 110}, std::string(1000, 'x')));
  EXPECT_THROW(run({"hungry", hungry, 1000, 90}, std::string(1000, 'x')), PropertyError);
}

}  // namespace
}  // namespace birkhoff::fuzz
