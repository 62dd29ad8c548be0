#include "engine/data/token_dataset.h"

#include <gmock/gmock.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "engine/data/prepare.h"
#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int32_t> read_all(const TokenDataset& dataset, int64_t vocab = int64_t(1) << 31) {
  std::vector<int32_t> ids(size_t(dataset.tokens()));
  dataset.read(0, ids, vocab);
  return ids;
}

// Two documents "AB" and "C" with their ends (256), as uint16: every byte written out by hand from
// the description in docs/formats/dataset.md.
const std::string kTinyIndex(
    "MMIDIDX\0\0"
    "\1\0\0\0\0\0\0\0"                                  // version
    "\x08"                                              // uint16
    "\2\0\0\0\0\0\0\0"                                  // sequences
    "\3\0\0\0\0\0\0\0"                                  // document borders
    "\3\0\0\0\2\0\0\0"                                  // sizes
    "\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0"                  // pointers
    "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"  // documents
    ,
    34 + 8 + 16 + 24);
const std::string kTinyTokens("A\0B\0\0\1C\0\0\1", 10);

TEST(TokenDataset, WritesTheKnownBytes) {
  const Scratch dir;
  write_dataset(dir / "tiny", {{'A', 'B', 256}, {'C', 256}});
  EXPECT_EQ(read_file(dir / "tiny.idx", 1000), kTinyIndex);
  EXPECT_EQ(read_file(dir / "tiny.bin", 1000), kTinyTokens);
}

TEST(TokenDataset, ReadsTheKnownBytes) {
  const Scratch dir;
  put(dir / "tiny.idx", kTinyIndex);
  put(dir / "tiny.bin", kTinyTokens);
  const TokenDataset dataset(dir / "tiny");
  EXPECT_EQ(dataset.type(), TokenType::u16);
  EXPECT_FALSE(dataset.manifest());
  EXPECT_EQ(dataset.documents(), 2);
  EXPECT_EQ(dataset.begin(1), 3);
  EXPECT_THAT(read_all(dataset), ElementsAre('A', 'B', 256, 'C', 256));
}

// A document of several sequences, an empty document, an empty sequence: legal in the format.
TEST(TokenDataset, ReadsDocumentsOfAnyNumberOfSequences) {
  const Scratch dir;
  const RawIndex index{
      .type = 4, .sizes = {2, 0, 1, 3}, .pointers = {0, 8, 8, 12}, .documents = {0, 3, 3, 4}};
  put(dir / "d.idx", index.bytes());
  std::string tokens;
  for (const int id : {7, 70000, 9, 1, 2, 3}) tokens += le(uint64_t(id), 4);
  put(dir / "d.bin", tokens);
  const TokenDataset dataset(dir / "d");
  EXPECT_EQ(dataset.documents(), 3);
  EXPECT_EQ(dataset.sequences(), 4);
  EXPECT_EQ(dataset.length(0), 3);
  EXPECT_EQ(dataset.length(1), 0);
  EXPECT_EQ(dataset.length(2), 3);
  EXPECT_THAT(read_all(dataset), ElementsAre(7, 70000, 9, 1, 2, 3));
}

TEST(TokenDataset, EveryTypeReadsBackAndRefusesWhatDoesNotFit) {
  const Scratch dir;
  for (const auto& [type, most] : {std::pair{TokenType::u8, int64_t(255)},
                                   {TokenType::i8, 127},
                                   {TokenType::i16, 32767},
                                   {TokenType::u16, 65535},
                                   {TokenType::i32, 2147483647},
                                   {TokenType::i64, 2147483647}}) {
    const auto top = int32_t(most);
    write_dataset(dir / "d", {{0, top}, {top - 1}}, int64_t(1) << 31, type);
    const TokenDataset dataset(dir / "d");
    EXPECT_THAT(read_all(dataset), ElementsAre(0, top, top - 1)) << name_of(type);
    if (most < 2147483647) {
      EXPECT_THROW(write_dataset(dir / "e", {{top + 1}}, 1, type), DataError) << name_of(type);
    }
  }
}

TEST(TokenDataset, RefusesIdsOutsideTheVocabulary) {
  const Scratch dir;
  write_dataset(dir / "d", {{1, 2}, {3, 4, 99, 5}});
  const TokenDataset dataset(dir / "d");
  EXPECT_EQ(read_all(dataset, 100).size(), 6u);
  const std::string what = data_error([&] { read_all(dataset, 99); });
  EXPECT_THAT(what, HasSubstr("d.bin: document 1, token 2: id 99 is outside the vocabulary of 99"));
  std::vector<int32_t> before(4);
  dataset.read(0, before, 99);  // a range without it is fine

  put(dir / "n.idx",
      RawIndex{.type = 5, .sizes = {2}, .pointers = {0}, .documents = {0, 1}}.bytes());
  for (const int64_t id : {int64_t(-1), int64_t(1) << 31, (int64_t(1) << 32) + 5}) {
    put(dir / "n.bin", le(5, 8) + le(uint64_t(id), 8));
    EXPECT_THAT(data_error([&] { read_all(TokenDataset(dir / "n"), int64_t(1) << 40); }),
                HasSubstr(fmt::format("token 1: id {} ", id)));
  }
}

TEST(TokenDataset, MissingFilesAreNamed) {
  const Scratch dir;
  EXPECT_THAT(data_error([&] { TokenDataset(dir / "none"); }), HasSubstr("none.bin: No such file"));
  put(dir / "none.bin", "ab");
  EXPECT_THAT(data_error([&] { TokenDataset(dir / "none"); }), HasSubstr("none.idx: No such file"));
  std::filesystem::create_directory(dir / "dir.bin");
  EXPECT_THAT(data_error([&] { TokenDataset(dir / "dir"); }), HasSubstr("not a regular file"));
}

struct BadIndex {
  const char* expected;
  std::function<void(RawIndex&)> change;
};

TEST(TokenDataset, RefusesEveryInconsistency) {
  const Scratch dir;
  const int64_t big = int64_t(1) << 62;
  const std::vector<BadIndex> cases = {
      {"does not begin with MMIDIDX", [](auto& i) { i.magic[3] = 'x'; }},
      {"has version 2", [](auto& i) { i.version = 2; }},
      {"dtype code 6", [](auto& i) { i.type = 6; }},
      {"dtype code 0", [](auto& i) { i.type = 0; }},
      {"do not fit 2 sequences", [](auto& i) { i.tail = "x"; }},
      {"do not fit 2 sequences", [](auto& i) { i.documents.push_back(2), i.tail = "\1\2"; }},
      {"sequence 1 has -1 tokens", [](auto& i) { i.sizes[1] = -1; }},
      {"sequence 1 begins at byte 4 ", [](auto& i) { i.pointers[1] = 4; }},
      {"sequence 0 begins at byte -2 ", [](auto& i) { i.pointers[0] = -2; }},
      {"sequence 1 begins at byte 4611", [=](auto& i) { i.pointers[1] = big; }},
      {"sequence 1 ends after the 10 bytes", [](auto& i) { i.sizes[1] = 2147483647; }},
      {"covers 8 of the 10 bytes", [](auto& i) { i.sizes[1] = 1; }},
      {"sequence 0 ends after the 10 bytes", [](auto& i) { i.type = 4; }},
      {"document 0 begins at sequence 1", [](auto& i) { i.documents[0] = 1; }},
      {"document 1 begins at sequence -1", [](auto& i) { i.documents[1] = -1; }},
      {"document 1 begins at sequence 3", [](auto& i) { i.documents[1] = 3; }},
      {"document 2 begins at sequence 0",
       [](auto& i) {
         i.documents = {0, 1, 0};
       }},
      {"the documents end at sequence 1 of 2", [](auto& i) { i.documents[2] = 1; }},
      {"the dataset is empty", [](auto& i) { i.documents = {0}; }},
      {"the dataset is empty", [](auto& i) { i.sizes = i.pointers = {}, i.documents = {0}; }},
  };
  put(dir / "d.bin", kTinyTokens);
  for (const BadIndex& bad : cases) {
    RawIndex index{.sizes = {3, 2}, .pointers = {0, 6}, .documents = {0, 1, 2}};
    put(dir / "d.idx", index.bytes());
    EXPECT_EQ(data_error([&] { TokenDataset(dir / "d"); }), "");
    bad.change(index);
    put(dir / "d.idx", index.bytes());
    const std::string what = data_error([&] { TokenDataset(dir / "d"); });
    EXPECT_THAT(what, HasSubstr(bad.expected));
    EXPECT_THAT(what, HasSubstr("d.idx: "));
  }
  put(dir / "d.bin", "");
  put(dir / "d.idx", RawIndex{.sizes = {0}, .pointers = {0}, .documents = {0, 1}}.bytes());
  EXPECT_THAT(data_error([&] { TokenDataset(dir / "d"); }), HasSubstr("the dataset is empty"));
}

// Counts whose product with the entry size overflows 64 bits must not wrap around to the file's
// size.
TEST(TokenDataset, CountsAreMultipliedWithoutOverflow) {
  const Scratch dir;
  put(dir / "d.bin", kTinyTokens);
  for (const uint64_t sequences :
       {uint64_t(1) << 62, UINT64_MAX, UINT64_MAX / 12, UINT64_MAX / 3}) {
    for (const uint64_t borders : {uint64_t(3), uint64_t(1) << 61, UINT64_MAX, UINT64_MAX / 8}) {
      std::string bytes = kTinyIndex;
      bytes.replace(18, 16, le(sequences, 8) + le(borders, 8));
      put(dir / "d.idx", bytes);
      EXPECT_THAT(data_error([&] { TokenDataset(dir / "d"); }), HasSubstr("do not fit"));
    }
  }
  // Counts that do wrap around: 12 times the first, 8 times the second, their sum.
  const uint64_t one = 1;
  for (const auto& [sequences, borders] :
       {std::pair{one << 62, one * 6}, {one * 2, (one << 61) + 3}, {one << 60, (one << 59) + 6}}) {
    std::string bytes = kTinyIndex;
    bytes.replace(18, 16, le(sequences, 8) + le(borders, 8));
    put(dir / "d.idx", bytes);
    EXPECT_EQ(12 * sequences + 8 * borders + 34, bytes.size());
    EXPECT_THAT(data_error([&] { TokenDataset(dir / "d"); }), HasSubstr("do not fit"));
  }
}

TEST(TokenDataset, AFileCutUnderWayIsAnError) {
  const Scratch dir;
  write_counting(dir / "d", {3000, 5000});
  const TokenDataset dataset(dir / "d");
  EXPECT_EQ(read_all(dataset).back(), 7999);
  std::filesystem::resize_file(dir / "d.bin", 4096);
  EXPECT_THAT(data_error([&] { read_all(dataset); }), HasSubstr("d.bin: the file was cut"));
}

// A file is cut and restored while it is read, ten thousand times: zeros or an error, never a
// signal.
TEST(TokenDataset, AFileCutInAnyMomentIsNoSignal) {
  const Scratch dir;
  write_counting(dir / "d", {30000, 5000});
  const TokenDataset dataset(dir / "d");
  const auto size = std::filesystem::file_size(dir / "d.bin");
  const auto index_size = std::filesystem::file_size(dir / "d.idx");
  std::atomic<bool> stop = false;
  std::thread cutter([&] {
    for (int i = 0; i < 10000 && !stop; ++i) {
      std::filesystem::resize_file(dir / "d.bin", i % 2 ? size : 4096);
      std::filesystem::resize_file(dir / "d.idx", i % 2 ? index_size : 20);
    }
    stop = true;
  });
  while (!stop) {
    data_error([&] { read_all(dataset); });
    data_error([&] { TokenDataset(dir / "d"); });
  }
  cutter.join();
}

// A mutated dataset is refused at open, or named by verify, or the mutation changed nothing that is
// read. In every case, reading all of it does not crash (run under ASan and UBSan as well).
TEST(TokenDataset, SurvivesMutations) {
  const Scratch dir;
  std::mt19937_64 random(20240607);
  std::vector<std::vector<int32_t>> documents(7);
  for (auto& ids : documents) {
    for (uint64_t i = random() % 40; i > 0; --i) ids.push_back(int32_t(random() % 256));
    ids.push_back(256);
  }
  write_dataset(dir / "d", documents);
  std::map<std::string, std::string> original;
  for (const char* name : {"d.idx", "d.bin", "d.json"})
    original[name] = read_file(dir / name, 9999);

  int at_open = 0, by_verify = 0;
  for (int trial = 0, of_the_data = 0; of_the_data < 2000; ++trial) {
    const std::string name = trial % 4 == 3 ? "d.json" : trial % 4 == 2 ? "d.bin" : "d.idx";
    std::string bytes = original[name];
    switch (random() % 4) {
      case 0:
        bytes.resize(random() % bytes.size());
        break;
      case 1:
        bytes.insert(random() % bytes.size(), std::string(1 + random() % 9, char(random())));
        break;
      case 2:  // a whole field, where the index has its 64-bit ones
        bytes.replace(random() % (bytes.size() - 8), 8,
                      le(random() % 2 ? random() : uint64_t(int64_t(random() % 5) - 2), 8));
        break;
      default:
        bytes[random() % bytes.size()] ^= char(1 << random() % 8);
    }
    if (bytes == original[name]) continue;
    of_the_data += name != "d.json";
    put(dir / name, bytes);
    const auto open = [&] { return TokenDataset(dir / "d"); };
    if (!data_error([&] { open(); }).empty()) {
      ++at_open;
    } else {
      const TokenDataset dataset = open();
      data_error([&] { read_all(dataset, 257); });
      const bool named = !data_error([&] { verify(dataset, 0); }).empty();
      by_verify += named;
      if (name != "d.json") {
        EXPECT_TRUE(named) << name << " of trial " << trial << " passes";
      }
    }
    put(dir / name, original[name]);
  }
  EXPECT_GT(at_open, 1000);
  EXPECT_GT(by_verify, 100);
}

}  // namespace
}  // namespace birkhoff::testing
