#include <algorithm>

#include "base/error.h"
#include "engine/data/manifest.h"
#include "engine/data/token_index.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

using Wide = __int128;  // holds any sum or product of an index's numbers

template <class T>
Wide number(std::string_view bytes, Wide at) {
  return load<T>(reinterpret_cast<const std::byte*>(bytes.data()) + size_t(at));
}

int width_of(int code) {
  constexpr int kWidths[] = {0, 1, 1, 2, 4, 8, 0, 0, 2};
  return code >= 0 && code < 9 ? kWidths[code] : 0;
}

// docs/formats/dataset.md, implemented literally and slowly. Returns the first token of each
// document, or nothing if the index is invalid.
std::vector<int64_t> places(std::string_view idx, Wide bin_bytes) {
  if (idx.size() < 34 || idx.substr(0, 9) != std::string_view("MMIDIDX\0\0", 9)) return {};
  if (number<uint64_t>(idx, 9) != 1) return {};
  const Wide width = width_of(uint8_t(idx[17]));
  const Wide n = number<uint64_t>(idx, 18), m = number<uint64_t>(idx, 26);
  if (width == 0 || 34 + 12 * n + 8 * m != Wide(idx.size()) || n < 1 || m < 2) return {};
  std::vector<Wide> begins;
  Wide end = 0;
  for (Wide i = 0; i < n; ++i) {
    begins.push_back(end);
    const Wide size = number<int32_t>(idx, 34 + 4 * i);
    if (size < 0 || number<int64_t>(idx, 34 + 4 * n + 8 * i) != end) return {};
    end += size * width;
  }
  begins.push_back(end);
  if (end != bin_bytes || end == 0) return {};
  std::vector<int64_t> documents;
  Wide before = 0;
  for (Wide d = 0; d < m; ++d) {
    const Wide border = number<int64_t>(idx, 34 + 12 * n + 8 * d);
    if (border < before || border > n || (d == 0 && border != 0)) return {};
    before = border;
    documents.push_back(int64_t(begins[size_t(border)] / width));
  }
  return before == n ? documents : std::vector<int64_t>();
}

}  // namespace

bool index(std::string_view bytes) {
  if (bytes.size() < 8) return false;
  const auto bin_bytes = uint64_t(number<uint64_t>(bytes, 0));
  const std::string_view idx = bytes.substr(8);
  const std::vector<int64_t> expected = places(idx, Wide(bin_bytes));
  const InputFile file(memory_file(idx));
  TokenIndex read;
  const bool accepted = accepts<DataError>([&] { read = read_token_index(file, bin_bytes); });
  require(accepted == !expected.empty(), "accepted: {}, by a slow reading: {}", accepted,
          !expected.empty());
  if (!accepted) return false;
  require(read.begins == expected, "documents lie elsewhere than by a slow reading");
  require(read.sequences == int64_t(number<uint64_t>(idx, 18)), "{} sequences", read.sequences);
  return true;
}

bool dataset(std::string_view bytes) {
  DatasetManifest read;
  if (!accepts<DataError>([&] { read = parse_dataset_manifest(bytes, "F"); })) return false;
  require(parse_dataset_manifest(to_json(read), "W") == read,
          "what is written is not what was read");
  return true;
}

}  // namespace birkhoff::fuzz
