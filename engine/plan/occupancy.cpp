#include "engine/plan/occupancy.h"

#include <algorithm>
#include <bit>

namespace birkhoff {

void Ranges::add(Range range) {
  const auto first = std::lower_bound(ranges_.begin(), ranges_.end(), range.begin,
                                      [](const Range& r, size_t begin) { return r.end < begin; });
  auto last = first;  // past the ranges that the new one touches
  for (; last != ranges_.end() && last->begin <= range.end; ++last) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
  }
  if (first == last) {
    ranges_.insert(first, range);
  } else {
    *first = range;
    ranges_.erase(first + 1, last);
  }
}

Occupancy::Occupancy(int times)
    : times_(std::max(1, times)), nodes_(2 * std::bit_ceil(size_t(times_))) {}

void Occupancy::add(int born, int dies, Range bytes) {
  if (bytes.begin < bytes.end) add(1, 0, times_ - 1, born, dies, bytes);
}

void Occupancy::collect(int born, int dies, std::vector<Range>& taken) const {
  collect(1, 0, times_ - 1, born, dies, taken);
}

void Occupancy::add(size_t node, int first, int last, int born, int dies, Range bytes) {
  if (dies < first || last < born) return;
  nodes_[node].touching.add(bytes);
  if (born <= first && last <= dies) {
    nodes_[node].covering.add(bytes);
    return;
  }
  const int middle = first + (last - first) / 2;
  add(2 * node, first, middle, born, dies, bytes);
  add(2 * node + 1, middle + 1, last, born, dies, bytes);
}

void Occupancy::collect(size_t node, int first, int last, int born, int dies,
                        std::vector<Range>& taken) const {
  if (dies < first || last < born) return;
  const bool whole = born <= first && last <= dies;
  const Node& at = nodes_[node];
  const std::vector<Range>& ranges = (whole ? at.touching : at.covering).all();
  taken.insert(taken.end(), ranges.begin(), ranges.end());
  if (whole) return;
  const int middle = first + (last - first) / 2;
  collect(2 * node, first, middle, born, dies, taken);
  collect(2 * node + 1, middle + 1, last, born, dies, taken);
}

}  // namespace birkhoff
