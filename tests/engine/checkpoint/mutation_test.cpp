// Whatever happens to a saved checkpoint, it loads as it was written or not at all.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "base/hash.h"
#include "tests/engine/checkpoint/mutator.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::refusal;
using testing::SampleTensors;
using testing::Scratch;
using testing::slurp;
using testing::spill;

std::string open_and_verify(const Path& path) {
  return refusal([&] { Checkpoint::open(path).verify(); });
}

struct Forgery {
  std::string from, to, says;
};

class Mutations : public ::testing::Test {
 protected:
  Mutations() {
    const auto ranks = sample_.ranks();
    const SaveOptions options{.shard_bytes = 100, .chunk_bytes = 64};
    const std::string json = testing::sample_tokenizer_json();
    CheckpointInfo info = testing::sample_info();
    info.tokenizer = testing::sample_tokenizer(json);
    testing::save_by_ranks(path_, info, ranks, options, json);
    info.step = 200;
    testing::save_by_ranks(scratch_ / "step-00000200", info, ranks, options, json);
    for (const std::string& name : Directory(path_).names()) files_[name] = slurp(path_ / name);
  }
  void restore(const std::string& name) {
    std::filesystem::remove_all(path_ / name);
    spill(path_ / name, files_.at(name));
  }
  // The manifest with `from` replaced by `to` and a matching hash: what an attacker writes.
  std::string forged(const std::string& from, const std::string& to) const {
    std::string text = files_.at("manifest.json");
    text.resize(text.find("\"manifest_hash\""));
    const size_t at = text.find(from);
    check(at != text.npos, "the manifest has no {}", from);
    text.replace(at, from.size(), to);
    const std::string hash = hash128(std::as_bytes(std::span(text)));
    return text + "\"manifest_hash\": \"" + hash + "\"\n}\n";
  }

  void expect_refused(std::span<const Forgery> forgeries) {
    for (const Forgery& f : forgeries) {
      spill(path_ / "manifest.json", forged(f.from, f.to));
      EXPECT_THAT(open_and_verify(path_), HasSubstr(f.says)) << f.to.substr(0, 100);
    }
  }

  SampleTensors sample_;
  Scratch scratch_;
  Path path_ = scratch_ / "step-00000100";
  std::map<std::string, std::string> files_;
};

TEST_F(Mutations, TheUnchangedOneIsAccepted) {
  EXPECT_GT(files_.size(), 3u);
  EXPECT_EQ(open_and_verify(path_), "accepted");
}

// Bits, cuts, swaps, files of other steps, names: each is refused with a message that says where.
TEST(Mutated, TwoThousandRandomOnesAreRefused) {
  testing::Dice dice(4);
  testing::Mutator mutator;
  for (int trial = 0; trial < 2000;) {
    const std::vector<std::string> words = mutator.change(dice);
    if (!mutator.unchanged()) {
      const std::string says = open_and_verify(mutator.path());
      ASSERT_NE(says, "accepted") << "trial " << trial << ": " << words[0];
      ASSERT_TRUE(std::any_of(
          words.begin(), words.end(),
          [&](const std::string& word) { return says.find(word) != std::string::npos; }))
          << says << " does not say " << words[0];
      ++trial;
    }
    mutator.restore();
  }
  EXPECT_EQ(open_and_verify(mutator.path()), "accepted");
}

// Every byte of tokenizer.json, one bit of each: opening names the file.
TEST_F(Mutations, EveryByteOfTheTokenizerIsNamed) {
  const std::string name(kTokenizerName), good = files_.at(name);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = char(bytes[at] ^ (1 << at % 8));
    spill(path_ / name, bytes);
    ASSERT_THAT(refusal([&] { Checkpoint::open(path_); }),
                HasSubstr("tokenizer.json: contents do not match their hash"));
  }
  spill(path_ / name, good + " ");
  EXPECT_THAT(open_and_verify(path_), HasSubstr("the manifest says"));
  restore(name);
  EXPECT_EQ(Checkpoint::open(path_).tokenizer().json, good);
}

// Every byte that holds a tensor, one bit of each: the message names file, tensor and range.
TEST_F(Mutations, EveryPayloadByteIsNamed) {
  const Manifest manifest = Checkpoint::open(path_).manifest();
  for (const StoredTensor& t : manifest.tensors) {
    for (const StoredPiece& p : t.pieces) {
      for (size_t at = p.begin; at < p.end; ++at) {
        std::string bytes = files_[p.file];
        bytes[at] = char(bytes[at] ^ (1 << at % 8));
        spill(path_ / p.file, bytes);
        const Checkpoint checkpoint = Checkpoint::open(path_);
        const size_t begin = p.begin + (at - p.begin) / 64 * 64;
        const std::string range =
            fmt::format("tensor {}, bytes {} to {}:", t.name, begin, std::min(begin + 64, p.end));
        ASSERT_THAT(refusal([&] { checkpoint.verify(); }),
                    AllOf(HasSubstr(p.file), HasSubstr(range)));
        std::vector<std::byte> into(t.spec.bytes());
        ASSERT_THAT(refusal([&] { checkpoint.read(t.name, t.spec, into); }), HasSubstr(range));
      }
      restore(p.file);
    }
  }
}

TEST_F(Mutations, FilesSwappedRenamedLinkedOrGone) {
  const std::string a = shard_name(0, 0), b = shard_name(0, 1);
  const auto refused_after = [&](const char* what, const std::function<void()>& change) {
    change();
    EXPECT_NE(open_and_verify(path_), "accepted") << what;
    for (const auto& [name, bytes] : files_) restore(name);
    ASSERT_EQ(open_and_verify(path_), "accepted") << what;
  };
  const auto fs_rename = [&](const std::string& from, const std::string& to) {
    std::filesystem::rename(path_ / from, path_ / to);
  };
  refused_after("two shards swapped", [&] {
    fs_rename(a, "t");
    fs_rename(b, a);
    fs_rename("t", b);
  });
  refused_after("a shard of another step with the same tensors",
                [&] { spill(path_ / a, slurp(scratch_ / "step-00000200" / a)); });
  refused_after("the manifest of another step", [&] {
    spill(path_ / "manifest.json", slurp(scratch_ / "step-00000200/manifest.json"));
  });
  refused_after("a shard renamed", [&] { fs_rename(a, shard_name(0, 99)); });
  for (const std::string& name : {a, std::string("manifest.json"), std::string(kTokenizerName)}) {
    refused_after("gone", [&] { std::filesystem::remove(path_ / name); });
    refused_after("empty", [&] { spill(path_ / name, ""); });
    refused_after("a link to the same bytes", [&] {
      spill(scratch_ / "elsewhere", files_[name]);
      std::filesystem::remove(path_ / name);
      std::filesystem::create_symlink(scratch_ / "elsewhere", path_ / name);
    });
    refused_after("a directory", [&] {
      std::filesystem::remove(path_ / name);
      std::filesystem::create_directory(path_ / name);
    });
    refused_after("a pipe that nobody writes to", [&] {
      std::filesystem::remove(path_ / name);
      ASSERT_EQ(::mkfifo((path_ / name).c_str(), 0600), 0);
    });
  }
  std::filesystem::rename(path_, scratch_ / "step-00000101");
  EXPECT_THAT(open_and_verify(scratch_ / "step-00000101"),
              HasSubstr("manifest.json is of step 100"));
  std::filesystem::rename(scratch_ / "step-00000101", scratch_ / "best");
  EXPECT_EQ(open_and_verify(scratch_ / "best"), "accepted");
}

// Manifests that match their hash, and lie: each must be refused for its own reason.
TEST_F(Mutations, ForgedManifests) {
  const std::string shard = shard_name(0, 0);
  const std::string name = "\"name\": \"" + shard + "\"", file = "\"file\": \"" + shard + "\"";
  const std::string first = "{\"name\": \"bias\", \"dtype\": \"i32\", \"shape\": [1]";
  const std::string header =
      fmt::format("\"header_bytes\": {}", Checkpoint::open(path_).manifest().files[0].header_bytes);
  const Forgery cases[] = {
      {"\"step\": 100", "\"step\": 100", "accepted"},
      {"\"format_version\": 2", "\"format_version\": 3", "has format_version 3"},
      {"\"format_version\": 2", "\"format_version\": 1", "unknown field 'tokenizer'"},
      {"\"format_version\": 2", "\"format_version\": \"2\"", "format_version"},
      {"\"step\": 100", "\"step\": -1", "manifest.step is not an integer"},
      {"\"step\": 100", "\"step\": 1e2", "manifest.step is not an integer"},
      {"\"step\": 100", "\"step\": 9223372036854775808", "manifest.step is not an integer"},
      {"\"step\": 100", "\"step\": 100, \"step\": 100", "has the key 'step' twice"},
      {"\"step\": 100", "\"step\": 100, \"extra\": 0", "unknown field 'extra'"},
      {"\"tokens\": 819200,", "", "has no field 'tokens'"},
      {"model.layers: 2", "model.layers: 3", "model.text does not match model.hash"},
      {"\"state\": {", "\"state\": {\"x\": 1, ", "state.x is not a string"},
      {"\"state\": {", "\"state\": {\"x\": " + std::string(5000, '['), "nested deeper than 8"},
      {"\"chunk_bytes\": 64", "\"chunk_bytes\": 0", "chunk_bytes is 0"},
      {"\"chunk_bytes\": 64", "\"chunk_bytes\": 1073741825", "chunk_bytes is not an integer"},
      {"\"chunk_bytes\": 64", "\"chunk_bytes\": 1",
       "pieces[0] has 1 hashes, which do not match its 4 bytes"},
      {name, "\"name\": \"../../etc/passwd\"", "not a valid shard name"},
      {name, "\"name\": \"/etc/passwd\"", "not a valid shard name"},
      {name, "\"name\": \"manifest.json\"", "not a valid shard name"},
      {name, "\"name\": \"" + shard + "\\u0000\"", "not a valid shard name"},
      {name, "\"name\": \"rank-0000-part-9999.safetensors\"", "out of order"},
      {name, "\"name\": 7", "files[0].name is not a string"},
      {file, "\"file\": \"../" + shard + "\"", "not a valid shard name"},
      {file, "\"file\": \"rank-9999-part-0000.safetensors\"", "not listed"},
      {first, "{\"name\": \"zzz\", \"dtype\": \"i32\", \"shape\": [1]", "out of order"},
      {first, "{\"name\": \"a/b\", \"dtype\": \"i32\", \"shape\": [1]", "not a valid tensor name"},
      {first, "{\"name\": \"bia\", \"dtype\": \"i32\", \"shape\": [1]",
       "the header does not agree with the manifest"},
      {first, "{\"name\": \"bias\", \"dtype\": \"f32\", \"shape\": [1]",
       "the header does not agree with the manifest"},
      {first, "{\"name\": \"bias\", \"dtype\": \"none\", \"shape\": [1]",
       "dtype 'none' is unknown"},
      {first, "{\"name\": \"bias\", \"dtype\": \"i32\", \"shape\": [2]",
       "element [1] is in 0 pieces"},
      {first, "{\"name\": \"bias\", \"dtype\": \"i32\", \"shape\": [4294967296, 4294967296]",
       "shape is negative or too large"},
      {first, "{\"name\": \"bias\", \"dtype\": \"i32\", \"shape\": [-1]",
       "shape is negative or too large"},
      {header, "\"header_bytes\": 8", "starts at byte"},
      {header, "\"header_bytes\": 100000009", "header_bytes is not an integer"},
  };
  expect_refused(cases);
}

TEST_F(Mutations, ForgedTokenizers) {
  const std::string name = R"("tokenizer": {"name": "my \"tokenizer\".json")",
                    file = R"("file": {)";
  const Forgery cases[] = {
      {name, R"("tokenizer": {"name": null)", "tokenizer.name is not a string"},
      {name, name + R"(, "extra": 1)", "tokenizer has an unknown field 'extra'"},
      {R"("tokenizer": {)", R"("token": {)", "has no field 'tokenizer'"},
      {R"("vocab": 40)", R"("vocab": -1)", "tokenizer.vocab is not an integer"},
      {R"("bos": 1)", R"("bos": -2)", "tokenizer.bos is not a token id"},
      {R"("bos": 1)", R"("bos": true)", "tokenizer.bos is not a token id"},
      {R"("bos": 1)", R"("bos": 1.0)", "tokenizer.bos is not a token id"},
      {R"("bos": 1)", R"("bos": "1")", "tokenizer.bos is not a token id"},
      {R"("eos": [39,2])", R"("eos": [39,[2]])", "tokenizer.eos is not a token id"},
      {R"("eos": [39,2])", R"("eos": [39,18446744073709551615])",
       "tokenizer.eos is not a token id"},
      {R"("eos": [39,2], )", "", "has no field 'eos'"},
      {file, R"("file": {"name": "../../etc/passwd", )", "unknown field 'name'"},
      {R"("bytes": )", R"("bytes": 1)", "the manifest says 1"},
      {R"("bytes": )", R"("bytes": 99999999999)", "tokenizer.file.bytes is not an integer"},
      {R"("bytes": )", R"("bytes": -)", "tokenizer.file.bytes is not an integer"},
      {file, R"("file": null, "files": {)", "unknown field 'files'"},
  };
  expect_refused(cases);
  std::string ids = "\"eos\": [0";
  for (int i = 0; i < 64; ++i) ids += ",0";
  spill(path_ / "manifest.json", forged(R"("eos": [39,2])", ids + "]"));
  EXPECT_THAT(open_and_verify(path_), HasSubstr("tokenizer.eos has 65 ids, more than 64"));
}

TEST_F(Mutations, ForgedPieces) {
  const std::string bias = "{\"box\": [[0, 1]], \"flat\": [0, 1]";
  const std::string left = "{\"box\": [[0, 31], [0, 2]], \"flat\": ";
  const auto many = [](const std::string& text, int n) {
    std::string all = text;
    while (--n > 0) all += ", " + text;
    return all;
  };
  const Forgery cases[] = {
      {bias, "{\"box\": [[0, 2]], \"flat\": [0, 1]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [[1, 1]], \"flat\": [0, 1]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [[1, 0]], \"flat\": [0, 1]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [], \"flat\": [0, 1]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [[0, 1]], \"flat\": [0, 2]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [[0, 1]], \"flat\": [0, 0]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [[0, 1]], \"flat\": [1, 0]", "pieces[0] does not lie within the tensor"},
      {bias, "{\"box\": [[0, 1, 1]], \"flat\": [0, 1]", "box is not a pair of counts"},
      {bias, "{\"box\": [[-1, 1]], \"flat\": [0, 1]", "box is not a pair of counts"},
      {bias, "{\"box\": [[0, 1.0]], \"flat\": [0, 1]", "box is not a pair of counts"},
      {bias, "{\"box\": [[0, 9223372036854775808]], \"flat\": [0, 1]",
       "box is not a pair of counts"},
      {bias, "{\"box\": [[0, 1]], \"flat\": 1", "flat is not a pair of counts"},
      {bias, "{\"box\": [[0, 1]]", "has no field 'flat'"},
      {bias, "{\"box\": [" + many("[0, 1]", 17) + "], \"flat\": [0, 1]", "box has too many dims"},
      {left + "[0, 23]", left + "[0, 22]", "do not hold it"},
      {left + "[0, 23]", left + "[1, 24]", "the piece before it ends at element 0"},
      {left + "[23, 62]", left + "[22, 61]", "the piece before it ends at element 23"},
      {left + "[23, 62]", left + "[0, 39]", "pieces[1] is out of order or a duplicate"},
      {"[[0, 31], [2, 3]]", "[[0, 31], [1, 2]]", "is in "},
      {"\"shape\": [0, 4]", "\"shape\": [1, 4]", "has no pieces"},
  };
  expect_refused(cases);
}

}  // namespace
}  // namespace birkhoff
