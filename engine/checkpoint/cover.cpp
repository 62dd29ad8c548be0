#include "engine/checkpoint/cover.h"

#include <algorithm>
#include <array>

#include "base/format.h"

namespace birkhoff {
namespace {

using Place = std::array<int64_t, kMaxCutDims>;  // indices in the dims that are cut

struct Corner {
  Place place;
  int64_t sign;
};

// Adds the corners of a box in the dims `dims`, times `sign`.
void add_corners(const Box& box, std::span<const size_t> dims, int64_t sign,
                 std::vector<Corner>& corners) {
  for (size_t mask = 0; mask < size_t(1) << dims.size(); ++mask) {
    Corner corner{.place = {}, .sign = sign};
    for (size_t i = 0; i < dims.size(); ++i) {
      const bool end = mask >> i & 1;
      corner.place[i] = end ? box.end[dims[i]] : box.begin[dims[i]];
      if (end) corner.sign = -corner.sign;
    }
    corners.push_back(corner);
  }
}

std::string element_at(const Place& place, std::span<const size_t> dims, size_t all) {
  Shape index(all, 0);
  for (size_t i = 0; i < dims.size(); ++i) index[dims[i]] = place[i];
  return fmt::format("element {}", to_string(index));
}

// Before the first place whose corners do not cancel, all corners cancel, so the sum of its corners
// is how often its element is covered, less one.
std::string boxes_fault(const Shape& shape, const std::vector<Box>& boxes) {
  std::vector<size_t> dims;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (std::any_of(boxes.begin(), boxes.end(),
                    [&](const Box& b) { return b.begin[d] != 0 || b.end[d] != shape[d]; }))
      dims.push_back(d);
  }
  if (dims.size() > kMaxCutDims)
    return fmt::format("is cut in {} dims, more than {}", dims.size(), kMaxCutDims);
  std::vector<Corner> corners;
  corners.reserve((boxes.size() + 1) << dims.size());
  add_corners(whole_box(shape), dims, -1, corners);
  for (const Box& box : boxes) add_corners(box, dims, 1, corners);
  std::sort(corners.begin(), corners.end(),
            [](const Corner& a, const Corner& b) { return a.place < b.place; });
  for (size_t i = 0; i < corners.size();) {
    int64_t sum = 0;
    const Place& place = corners[i].place;
    for (; i < corners.size() && corners[i].place == place; ++i) sum += corners[i].sign;
    if (sum != 0)
      return fmt::format("{} is in {} pieces", element_at(place, dims, shape.size()), sum + 1);
  }
  return {};
}

}  // namespace

std::string cover_fault(const Shape& shape, std::span<const StoredPiece> pieces) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    return pieces.empty() ? "" : "has pieces, but no elements";
  if (pieces.empty()) return "has no pieces";
  std::vector<Box> boxes;
  for (size_t i = 0; i < pieces.size();) {
    const Box& box = pieces[i].slice.box;
    int64_t at = 0;
    for (; i < pieces.size() && pieces[i].slice.box == box; ++i) {
      const Slice& slice = pieces[i].slice;
      if (slice.begin != at)
        return fmt::format("{}: the piece before it ends at element {}", to_string(slice), at);
      at = slice.end;
    }
    if (at != count(box))
      return fmt::format("{}: its pieces end at element {}", to_string(whole_slice(box)), at);
    boxes.push_back(box);
  }
  return boxes_fault(shape, boxes);
}

}  // namespace birkhoff
