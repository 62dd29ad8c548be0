// share_of: what each of several ranks writes of what all of them hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/checkpoint/save.h"
#include "tests/support/boxes.h"

namespace birkhoff::testing {
namespace {

struct Held {
  std::vector<std::vector<std::byte>> bytes;  // of the whole tensors
  std::vector<Piece> pieces;
};

Held random_pieces(Dice& dice) {
  Held held;
  for (int64_t i = dice.below(12); i > 0; --i) {
    const DType dtype = dice.one_in(2) ? DType::f32 : DType::bf16;
    TensorSpec spec{random_shape(dice, dice.below(4), 9), dtype};
    if (!spec.shape.empty() && dice.one_in(6)) spec.shape[0] = 0;
    Slice slice;
    if (spec.count() > 0)
      slice = dice.one_in(3) ? random_slice(dice, spec.shape) : whole_slice(spec.shape);
    std::vector<std::byte>& bytes = held.bytes.emplace_back(size_t(slice.count()) * size_of(dtype));
    for (std::byte& b : bytes) b = std::byte(dice.below(256));
    held.pieces.push_back({fmt::format("t{}", i), spec, slice, {}});
  }
  for (size_t i = 0; i < held.pieces.size(); ++i) held.pieces[i].bytes = held.bytes[i];
  return held;
}

// The part's bytes are those of its slice, and small pieces stay whole.
void expect_part_of(const Piece& part, const Piece& piece, size_t cut_bytes) {
  const int64_t size = int64_t(size_of(part.whole.dtype));
  ASSERT_EQ(part.whole, piece.whole);
  ASSERT_EQ(int64_t(part.bytes.size()), part.slice.count() * size);
  if (piece.bytes.size() <= cut_bytes) {
    ASSERT_EQ(part.slice, piece.slice);
    return;
  }
  ASSERT_TRUE(lies_in(part.slice, part.whole.shape));
  const std::vector<int64_t> all = elements_of(piece.slice, part.whole.shape);
  const std::vector<int64_t> mine = elements_of(part.slice, part.whole.shape);
  const int64_t at = (part.bytes.data() - piece.bytes.data()) / size;
  ASSERT_LE(at + int64_t(mine.size()), int64_t(all.size()));
  ASSERT_TRUE(std::equal(mine.begin(), mine.end(), all.begin() + at));
}

// The most bytes that are never separated: a small piece, a row, an element.
size_t largest_unit(const Held& held, size_t cut_bytes) {
  size_t largest = std::max(cut_bytes, size_t(8));
  for (const Piece& p : held.pieces) {
    const Box& box = p.slice.box;
    if (p.bytes.empty() || !is_whole(p.slice)) continue;
    const int64_t rows = box.begin.empty() ? 1 : box.end[0] - box.begin[0];
    largest = std::max(largest, p.bytes.size() / size_t(rows));
  }
  return largest;
}

TEST(Share, EachElementIsOneRanks) {
  Dice dice(1);
  for (int trial = 0; trial < 1000; ++trial) {
    const Held held = random_pieces(dice);
    const int ranks = int(dice.from_to(1, 7));
    const size_t cut_bytes = size_t(dice.below(100));
    std::map<std::string, std::vector<std::byte>> together;
    size_t total = 0;
    for (const Piece& p : held.pieces) total += p.bytes.size();
    for (int rank = 0; rank < ranks; ++rank) {
      std::set<std::string> names;
      size_t bytes = 0;
      for (const Piece& part : share_of(held.pieces, rank, ranks, cut_bytes)) {
        ASSERT_TRUE(names.insert(part.name).second) << "two parts of one piece";
        const auto piece = std::find_if(held.pieces.begin(), held.pieces.end(),
                                        [&](const Piece& p) { return p.name == part.name; });
        expect_part_of(part, *piece, cut_bytes);
        auto& sum = together[part.name];
        sum.insert(sum.end(), part.bytes.begin(), part.bytes.end());
        bytes += part.bytes.size();
      }
      ASSERT_LE(bytes, total / size_t(ranks) + largest_unit(held, cut_bytes) + 8);
    }
    ASSERT_EQ(together.size(), held.pieces.size());
    for (const Piece& p : held.pieces) {
      const auto& sum = together.at(p.name);
      ASSERT_TRUE(std::equal(p.bytes.begin(), p.bytes.end(), sum.begin(), sum.end())) << p.name;
    }
  }
}

TEST(Share, DoesNotDependOnTheOrder) {
  Dice dice(2);
  const Held held = random_pieces(dice);
  std::vector<Piece> backwards(held.pieces.rbegin(), held.pieces.rend());
  for (int rank = 0; rank < 3; ++rank) {
    const auto a = share_of(held.pieces, rank, 3, 8), b = share_of(backwards, rank, 3, 8);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_TRUE(a[i].name == b[i].name && a[i].slice == b[i].slice);
  }
}

}  // namespace
}  // namespace birkhoff::testing
