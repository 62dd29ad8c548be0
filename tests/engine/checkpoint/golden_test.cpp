// tests/golden/checkpoint-v1 and -v2 load for ever: a checkpoint of three ranks, as the first
// programs that knew these format versions wrote it. Version 1 cannot be written any more; version
// 2 is never written again, unless it changes before its first release:
//
//   rm -r tests/golden/checkpoint-v2
//   build/release/tests/test_checkpoint --gtest_also_run_disabled_tests
//       --gtest_filter=GoldenFiles.DISABLED_Write
//
// tests/scripts/checkpoint_test.py reads the same files and expects the same values.
#include <gmock/gmock.h>

#include <cstring>
#include <deque>

#include "tests/engine/checkpoint/sample.h"

namespace birkhoff::testing {
namespace {

struct Whole {
  std::string name;
  TensorSpec spec;
};

const std::vector<Whole>& wholes() {
  static const std::vector<Whole> all = {{"adam.m.embedding.weight", {{11, 3}, DType::f32}},
                                         {"adam.step", {{}, DType::i64}},
                                         {"embedding.weight", {{11, 3}, DType::bf16}},
                                         {"layers.0.bias", {{5}, DType::i32}},
                                         {"layers.0.none", {{0, 4}, DType::f32}},
                                         {"layers.0.w", {{4, 6, 2}, DType::f32}},
                                         {"sums", {{7}, DType::f64}}};
  return all;
}

template <class T>
void put(std::vector<std::byte>& bytes, T value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), at, at + sizeof value);
}

// Element i: exact in every dtype.
std::vector<std::byte> values(const TensorSpec& spec) {
  std::vector<std::byte> bytes;
  for (int64_t i = 0; i < spec.count(); ++i) {
    if (spec.dtype == DType::f32) put(bytes, float(i) / 4 - 3);
    if (spec.dtype == DType::bf16) put(bytes, uint16_t(0x3F80 + i));  // 1 + i / 128
    if (spec.dtype == DType::i32) put(bytes, int32_t(1000003 * i - 7));
    if (spec.dtype == DType::i64) put(bytes, int64_t(1) << 40);
    if (spec.dtype == DType::f64) put(bytes, double(i) / 3);
  }
  return bytes;
}

CheckpointInfo info() {
  return {.step = 12,
          .tokens = 98304,
          .seed = 18446744073709551615u,
          .model = "model.dim: 3\n",
          .data = "tokens: 4096",
          .config = "seed: 18446744073709551615\n",
          .state = {{"data.position", "192"}, {"loss", "5.4375"}}};
}

Path golden(int version) {
  return Path(BIRKHOFF_SOURCE_DIR) / fmt::format("tests/golden/checkpoint-v{}", version);
}

class Golden : public ::testing::TestWithParam<int> {};

TEST_P(Golden, Loads) {
  const Checkpoint checkpoint = Checkpoint::open(golden(GetParam()));
  checkpoint.verify();
  CheckpointInfo wanted = info();
  if (GetParam() > 1) wanted.tokenizer = sample_tokenizer(sample_tokenizer_json());
  EXPECT_EQ(checkpoint.manifest().info, wanted);
  EXPECT_EQ(checkpoint.tokenizer().json, GetParam() > 1 ? sample_tokenizer_json() : "");
  ASSERT_EQ(checkpoint.manifest().tensors.size(), wholes().size());
  Dice dice(1);
  for (const Whole& t : wholes()) {
    const std::vector<std::byte> whole = values(t.spec);
    std::vector<std::byte> bytes(whole.size());
    checkpoint.read(t.name, t.spec, bytes);
    EXPECT_EQ(bytes, whole) << t.name;
    for (int i = 0; i < 20 && t.spec.count() > 0; ++i) {
      const Slice slice = random_slice(dice, t.spec.shape);
      const std::vector<std::byte> part = cut(whole, t.spec, slice);
      bytes.resize(part.size());
      checkpoint.read(t.name, t.spec, slice, bytes);
      EXPECT_EQ(bytes, part) << t.name << " " << to_string(slice);
    }
  }
}

// The files are a sample of what the format can express.
TEST_P(Golden, HasShardsBoxesAndFlatRanges) {
  const Checkpoint checkpoint = Checkpoint::open(golden(GetParam()));
  EXPECT_EQ(checkpoint.manifest().files.size(), 5u);
  int boxes = 0, ranges = 0, chunks = 0;
  for (const StoredTensor& t : checkpoint.manifest().tensors) {
    for (const StoredPiece& p : t.pieces) {
      boxes += p.slice.box != whole_box(t.spec.shape);
      ranges += !is_whole(p.slice);
      chunks += p.hashes.size() > 1;
    }
  }
  EXPECT_GT(boxes, 3);
  EXPECT_GT(ranges, 1);
  EXPECT_GT(chunks, 1);
}

INSTANTIATE_TEST_SUITE_P(Versions, Golden, ::testing::Values(1, 2));

TEST(GoldenFiles, DISABLED_Write) {
  std::deque<std::vector<std::byte>> store;
  std::vector<std::vector<Piece>> ranks(3);
  const auto give = [&](size_t rank, const Whole& t, const Slice& slice) {
    store.push_back(cut(values(t.spec), t.spec, slice));
    ranks[rank].push_back({t.name, t.spec, slice, store.back()});
  };
  const std::vector<Whole>& t = wholes();
  const Box top{{0, 0}, {6, 3}}, bottom{{6, 0}, {11, 3}};
  give(0, t[0], {top, 0, 7});  // rows, and flat ranges of one of the two
  give(1, t[0], {top, 7, 18});
  give(2, t[0], whole_slice(bottom));
  give(1, t[1], whole_slice(t[1].spec.shape));
  give(0, t[2], whole_slice(top));
  give(2, t[2], whole_slice(bottom));
  give(0, t[3], whole_slice(t[3].spec.shape));
  ranks[0].push_back({t[4].name, t[4].spec, {}, {}});
  // A pinwheel: no straight cut separates it.
  give(0, t[5], whole_slice(Box{{0, 0, 0}, {1, 4, 2}}));
  give(0, t[5], whole_slice(Box{{1, 2, 0}, {3, 4, 2}}));
  give(1, t[5], whole_slice(Box{{0, 4, 0}, {3, 6, 2}}));
  give(2, t[5], whole_slice(Box{{3, 2, 0}, {4, 6, 2}}));
  give(2, t[5], {Box{{1, 0, 0}, {4, 2, 2}}, 0, 12});
  give(1, t[6], whole_slice(t[6].spec.shape));
  CheckpointInfo two = info();
  two.tokenizer = sample_tokenizer(sample_tokenizer_json());
  save_by_ranks(golden(2), two, ranks, {.chunk_bytes = 32}, sample_tokenizer_json());
}

}  // namespace
}  // namespace birkhoff::testing
