#include "engine/plan/touched.h"

#include <algorithm>

namespace birkhoff {

void Touched::need(const Access& a, Counts& needs) const {
  auto it = segments_.upper_bound({a.space, a.begin});
  if (it != segments_.begin()) --it;  // the segment that may reach into the access
  for (; it != segments_.end() && it->first < Begin{a.space, a.end}; ++it) {
    const Segment& s = it->second;
    if (it->first.first != a.space || s.end <= a.begin) continue;
    for (size_t t = 0; t < kStreams; ++t)
      needs[t] = std::max({needs[t], s.written[t], a.writes ? s.read[t] : 0});
  }
}

// Splits the segment that spans `at`, if there is one, so that a segment begins there.
void Touched::cut(int space, size_t at) {
  auto it = segments_.lower_bound({space, at});
  if (it == segments_.begin()) return;
  --it;
  if (it->first.first != space || it->second.end <= at) return;
  segments_.emplace(Begin{space, at}, it->second);
  it->second.end = at;
}

void Touched::forget(const Access& a) {
  cut(a.space, a.begin), cut(a.space, a.end);
  segments_.erase(segments_.lower_bound({a.space, a.begin}),
                  segments_.lower_bound({a.space, a.end}));
}

void Touched::add(const Access& a, Stream stream, int number) {
  if (a.writes) {
    forget(a);
    Segment& segment = segments_[{a.space, a.begin}];
    segment.end = a.end;
    segment.written[size_t(stream)] = number;
    return;
  }
  cut(a.space, a.begin), cut(a.space, a.end);
  size_t at = a.begin;  // the bytes before it have a segment
  while (at < a.end) {
    auto it = segments_.lower_bound({a.space, at});
    const bool inside = it != segments_.end() && it->first < Begin{a.space, a.end};
    if (!inside || it->first.second > at)
      it = segments_.emplace_hint(it, Begin{a.space, at},
                                  Segment{.end = inside ? it->first.second : a.end});
    it->second.read[size_t(stream)] = number;
    at = it->second.end;
  }
}

}  // namespace birkhoff
