// Checkpoints saved by D ranks and loaded by E, whatever the layouts; and saves that do not fit
// together.
#include <gmock/gmock.h>

#include "tests/engine/checkpoint/sample.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

struct Whole {
  std::string name;
  TensorSpec spec;
  std::vector<std::byte> bytes;
};

std::vector<Whole> random_tensors(Dice& dice) {
  constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::i32, DType::i64, DType::f64};
  std::vector<Whole> tensors;
  for (int64_t i = dice.from_to(1, 6); i > 0; --i) {
    Whole t{fmt::format("layers.{}.w", i),
            {random_shape(dice, dice.below(5), 6), kTypes[dice.below(5)]},
            {}};
    if (!t.spec.shape.empty() && dice.one_in(8)) t.spec.shape.back() = 0;
    for (size_t b = 0; b < t.spec.bytes(); ++b) t.bytes.push_back(std::byte(dice.below(256)));
    tensors.push_back(std::move(t));
  }
  return tensors;
}

TEST(Ranks, AnyLayoutLoadsAsAnyOther) {
  Dice dice(1);
  for (int trial = 0; trial < 60; ++trial) {
    const std::vector<Whole> tensors = random_tensors(dice);
    std::vector<std::vector<Piece>> ranks(size_t(dice.from_to(1, 5)));
    std::vector<std::vector<std::byte>> store;
    for (const Whole& t : tensors) {
      if (t.spec.count() == 0) {
        for (auto& rank : ranks) rank.push_back({t.name, t.spec, {}, {}});
        continue;
      }
      for (const Slice& slice : random_tiling(dice, t.spec.shape)) {
        store.push_back(cut(t.bytes, t.spec, slice));
        ranks[size_t(dice.below(int64_t(ranks.size())))].push_back(
            {t.name, t.spec, slice, store.back()});
      }
    }
    const Scratch scratch;
    const size_t chunk = size_t(dice.from_to(1, 50)), shard = size_t(dice.from_to(1, 500));
    save_by_ranks(scratch / "c", sample_info(), ranks,
                  {.shard_bytes = shard, .chunk_bytes = chunk});
    const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
    checkpoint.verify();
    for (const Whole& t : tensors) {
      std::vector<std::byte> all(t.bytes.size(), std::byte{0xAA});
      checkpoint.read(t.name, t.spec, all);
      ASSERT_EQ(all, t.bytes) << t.name;
      for (int i = 0; i < 8 && t.spec.count() > 0; ++i) {
        const Slice slice = random_slice(dice, t.spec.shape);
        std::vector<std::byte> bytes(size_t(slice.count()) * size_of(t.spec.dtype));
        checkpoint.read(t.name, t.spec, slice, bytes);
        ASSERT_EQ(bytes, cut(t.bytes, t.spec, slice)) << t.name << to_string(slice);
      }
    }
  }
}

// What a data-parallel run does: every rank holds everything, and each writes its share.
TEST(Ranks, SharesOfOneSample) {
  const SampleTensors sample;
  for (const int ranks : {1, 2, 3, 7, 40}) {
    const Scratch scratch;
    std::vector<std::vector<Piece>> shares;
    for (int r = 0; r < ranks; ++r)
      shares.push_back(share_of(whole_pieces(sample.named()), r, ranks, 16));
    const std::string hash = save_by_ranks(scratch / "c", sample_info(), shares);
    const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
    EXPECT_EQ(checkpoint.manifest().hash, hash);
    for (const NamedTensor& t : sample.named()) {
      std::vector<std::byte> bytes(t.bytes.size());
      checkpoint.read(t.name, t.spec, bytes);
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), t.bytes.begin())) << t.name;
    }
  }
}

// Only the chunks that hold some of the slice are read, and all of those are verified.
TEST(Ranks, EachReaderVerifiesWhatItReads) {
  std::vector<std::byte> bytes(64);
  const NamedTensor t{"w", {{16}, DType::f32}, bytes};
  const Scratch scratch;
  save_checkpoint(scratch / "c", sample_info(), {&t, 1}, {.chunk_bytes = 16});
  const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
  const StoredPiece& piece = checkpoint.manifest().tensors[0].pieces[0];
  std::string file = slurp(scratch / "c" / piece.file);
  file[piece.begin + 33] ^= 1;  // in elements 8 to 12
  spill(scratch / "c" / piece.file, file);
  const Checkpoint damaged = Checkpoint::open(scratch / "c");
  for (int64_t begin = 0; begin < 16; ++begin) {
    for (int64_t end = begin + 1; end <= 16; ++end) {
      std::vector<std::byte> out(size_t(end - begin) * 4);
      const std::string says = refusal([&] {
        damaged.read("w", t.spec, {whole_box({16}), begin, end}, out);
      });
      if (begin < 12 && end > 8)
        ASSERT_THAT(says, HasSubstr(fmt::format("tensor w, bytes {} to {}:", piece.begin + 32,
                                                piece.begin + 48)));
      else
        ASSERT_EQ(says, "accepted");
    }
  }
}

TEST(Ranks, ProgressIsToldOfEveryByte) {
  std::vector<std::byte> bytes((size_t(40) << 20) + 5);
  const NamedTensor named{"w",
                          {{int64_t(bytes.size()) / 2}, DType::bf16},
                          std::span(bytes).first(bytes.size() / 2 * 2)};
  const Scratch scratch;
  size_t sum = 0, largest = 0, calls = 0;
  const ByteProgress count = [&](size_t n) { sum += n, largest = std::max(largest, n), ++calls; };
  save_checkpoint(scratch / "c", sample_info(), {&named, 1},
                  {.chunk_bytes = size_t(32) << 20, .progress = count});
  EXPECT_EQ(sum, named.bytes.size());
  EXPECT_EQ(calls, 3u);
  const Checkpoint checkpoint = Checkpoint::open(scratch / "c");
  checkpoint.verify(count);
  std::vector<std::byte> out(named.bytes.size());
  checkpoint.read("w", named.spec, out, count);
  EXPECT_EQ(sum, 3 * named.bytes.size());
  EXPECT_EQ(largest, size_t(16) << 20);
}

class Commits : public ::testing::Test {
 protected:
  Commits() {
    begin_checkpoint(path_);
    for (int r = 0; r < 3; ++r)
      indices_.push_back(write_shards(path_, 100, r, share_of(pieces_, r, 3, 8)));
  }
  std::string says() {
    try {
      commit_checkpoint(path_, sample_info(), indices_);
    } catch (const Error& e) {
      EXPECT_FALSE(std::filesystem::exists(path_));
      return e.what();
    }
    return "accepted";
  }

  SampleTensors sample_;
  std::vector<Piece> pieces_ = whole_pieces(sample_.named());
  Scratch scratch_;
  Path path_ = scratch_ / "step-00000100";
  std::vector<ShardIndex> indices_;
};

TEST_F(Commits, InAnyOrderOfRanks) {
  std::swap(indices_[0], indices_[2]);
  EXPECT_EQ(says(), "accepted");
  Checkpoint::open(path_).verify();
}

TEST_F(Commits, ARankIsMissing) {
  indices_.pop_back();
  EXPECT_THAT(says(), HasSubstr("tensor "));
}

TEST_F(Commits, ARankIsThereTwice) {
  indices_[1] = indices_[0];
  EXPECT_THAT(says(), HasSubstr("or a duplicate"));
}

TEST_F(Commits, TwoRanksWroteTheSame) {
  indices_.push_back(write_shards(path_, 100, 3, std::span(pieces_).first(1)));
  EXPECT_THAT(says(), HasSubstr("tensor layers.0.w f32[3,5]: "));
}

TEST_F(Commits, AnotherStep) {
  indices_[2].step = 99;
  EXPECT_THAT(says(), HasSubstr("rank 2 saved step 99"));
}

TEST_F(Commits, AnotherShape) {
  for (StoredTensor& t : indices_[2].tensors) t.spec.dtype = DType::bf16;
  EXPECT_THAT(says(), ::testing::AnyOf(HasSubstr("on rank 2"), HasSubstr("do not hold it")));
}

TEST_F(Commits, AFileIsNotThereOrCut) {
  const Path aside = scratch_ / ".step-00000100.partial";
  const std::string name = indices_[1].files[0].name, bytes = slurp(aside / name);
  std::filesystem::remove(aside / name);
  EXPECT_THAT(says(), HasSubstr(name));
  spill(aside / name, bytes.substr(1));
  EXPECT_THAT(says(), HasSubstr("all ranks see the same run.dir"));
  spill(aside / name, bytes);
  EXPECT_EQ(says(), "accepted");
}

TEST_F(Commits, AnEmptyDirectoryIsNotReplaced) {
  std::filesystem::create_directory(path_);
  EXPECT_THROW(commit_checkpoint(path_, sample_info(), indices_), ResourceError);
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(Commits, AbandonedLeavesNothing) {
  abandon_checkpoint(path_);
  EXPECT_TRUE(Directory(scratch_.path()).names().empty());
  abandon_checkpoint(path_);
}

TEST_F(Commits, WhatARankSentIsCheckedToTheLastByte) {
  const std::string text = index_text(indices_[1]);
  EXPECT_EQ(parse_index(text), indices_[1]);
  EXPECT_EQ(index_text(parse_index(text)), text);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = char(other[i] ^ (1 << i % 8));
    EXPECT_THROW(parse_index(other), InternalError) << i;
    EXPECT_THROW(parse_index(text.substr(0, i)), InternalError) << i;
  }
}

}  // namespace
}  // namespace birkhoff::testing
