#include "engine/data/split.h"

#include <cmath>

#include "base/error.h"
#include "engine/data/permutation.h"

namespace birkhoff {
namespace {

void append(Documents& side, int64_t document, int64_t length) {
  side.ids.push_back(document);
  side.begins.push_back(side.tokens() + length);
}

std::vector<bool> choose(const TokenDataset& dataset, double fraction, uint64_t seed,
                         int64_t filled) {
  const auto wanted = int64_t(std::llround(fraction * double(dataset.tokens())));
  const Permutation order(seed, "data.split", 0, uint64_t(dataset.documents()));
  std::vector<bool> held_out(size_t(dataset.documents()), false);
  int64_t taken = 0, left = filled, shortest = -1;
  for (uint64_t i = 0; i < order.size(); ++i) {
    const auto d = int64_t(order(i));
    const int64_t length = dataset.length(d);
    if (length == 0) continue;
    if (shortest < 0 || length < dataset.length(shortest)) shortest = d;
    if (left == 1 || length > 2 * (wanted - taken)) continue;  // farther off with it
    held_out[size_t(d)] = true;
    taken += length;
    --left;
  }
  if (taken == 0) held_out[size_t(shortest)] = true;
  return held_out;
}

}  // namespace

Split split_documents(const TokenDataset& dataset, double fraction, uint64_t seed) {
  check(fraction >= 0 && fraction < 1, "a held-out fraction of {}", fraction);
  int64_t filled = 0;
  for (int64_t d = 0; d < dataset.documents(); ++d) filled += dataset.length(d) > 0;
  std::vector<bool> held_out(size_t(dataset.documents()), false);
  if (fraction > 0) {
    if (filled < 2)
      throw DataError(fmt::format(
          "{}: one document cannot be both trained on and held out; prepare the text as several "
          "documents (birkhoff data prepare --split), or set data.validation_fraction to 0",
          printable(dataset.prefix().string())));
    held_out = choose(dataset, fraction, seed, filled);
  }
  Split split;
  for (int64_t d = 0; d < dataset.documents(); ++d)
    if (const int64_t length = dataset.length(d); length > 0)
      append(held_out[size_t(d)] ? split.validation : split.train, d, length);
  return split;
}

}  // namespace birkhoff
