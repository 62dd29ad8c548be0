// Decides which rank writes what of pieces that several ranks hold (save.h).
#include <algorithm>

#include "base/error.h"
#include "engine/checkpoint/save.h"

namespace birkhoff {
namespace {

// Elements that stay together when a piece is cut: all of a small piece; a row of the first dim;
// one element of a flat range.
int64_t unit(const Piece& piece, size_t cut_bytes) {
  const Slice& slice = piece.slice;
  if (piece.bytes.size() <= cut_bytes || slice.count() == 0) return slice.count();
  if (!is_whole(slice) || slice.box.begin.empty()) return 1;
  return slice.count() / (slice.box.end[0] - slice.box.begin[0]);
}

// The element nearest to byte `bytes` of a piece at which the piece may be cut.
int64_t cut_at(const Piece& piece, size_t bytes, int64_t unit) {
  if (bytes >= piece.bytes.size()) return piece.slice.count();
  const int64_t element = int64_t(bytes / size_of(piece.whole.dtype));
  return std::min(piece.slice.count(), (element + unit / 2) / unit * unit);
}

// Elements [begin, end) of a piece: whole rows of its first dim if it is a whole box.
Piece part_of(const Piece& piece, int64_t begin, int64_t end) {
  Piece part = piece;
  const size_t size = size_of(piece.whole.dtype);
  part.bytes = piece.bytes.subspan(size_t(begin) * size, size_t(end - begin) * size);
  if (!is_whole(piece.slice)) {
    part.slice.begin = piece.slice.begin + begin;
    part.slice.end = piece.slice.begin + end;
  } else if (begin != 0 || end != piece.slice.count()) {
    Box& box = part.slice.box;
    const int64_t row = piece.slice.count() / (box.end[0] - box.begin[0]);
    box.end[0] = box.begin[0] + end / row;
    box.begin[0] += begin / row;
    part.slice = whole_slice(box);
  }
  return part;
}

}  // namespace

std::vector<Piece> whole_pieces(std::span<const NamedTensor> tensors) {
  std::vector<Piece> pieces;
  for (const NamedTensor& t : tensors) {
    const bool empty = t.spec.count() == 0;
    pieces.push_back({t.name, t.spec, empty ? Slice{} : whole_slice(t.spec.shape), t.bytes});
  }
  return pieces;
}

// All pieces are laid end to end in order of name, and each rank takes an equal stretch: so a rank
// has at most one part of a piece, and neighbours agree on each cut without communicating.
std::vector<Piece> share_of(std::span<const Piece> pieces, int rank, int ranks, size_t cut_bytes) {
  check(rank >= 0 && rank < ranks, "rank {} of {}", rank, ranks);
  std::vector<Piece> sorted(pieces.begin(), pieces.end());
  std::sort(sorted.begin(), sorted.end(), [](const Piece& a, const Piece& b) {
    return a.name != b.name ? a.name < b.name : slice_before(a.slice, b.slice);
  });
  size_t total = 0;
  for (const Piece& piece : sorted) total += piece.bytes.size();
  // rank · total / ranks without overflow.
  const auto edge = [&](size_t r) {
    return total / size_t(ranks) * r + total % size_t(ranks) * r / size_t(ranks);
  };
  const size_t begin = edge(size_t(rank)), end = edge(size_t(rank) + 1);
  std::vector<Piece> share;
  size_t at = 0;  // offset of the piece
  for (const Piece& piece : sorted) {
    const int64_t together = unit(piece, cut_bytes);
    if (together == 0) {
      if (rank == 0) share.push_back(piece);
      continue;
    }
    const int64_t first = cut_at(piece, begin > at ? begin - at : 0, together);
    const int64_t last = cut_at(piece, end > at ? end - at : 0, together);
    if (first < last) share.push_back(part_of(piece, first, last));
    at += piece.bytes.size();
  }
  return share;
}

}  // namespace birkhoff
