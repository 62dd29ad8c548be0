#include "engine/data/token_index.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {
namespace {

constexpr size_t kWindow = size_t(64) << 10;

class IndexParser {
 public:
  IndexParser(const InputFile& file, size_t bin_bytes) : file_(file), bin_bytes_(bin_bytes) {}

  TokenIndex parse() {
    TokenIndex index;
    try {
      parse_header(index);
      parse_entries(index);
    } catch (const CutShort&) {
      refuse("the file was cut short while it was read");
    }
    return index;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw DataError(fmt::format("{}: {}; prepare the dataset again (birkhoff data prepare)",
                                printable(file_.path().string()), what));
  }

  // One of the index's arrays. Elements are read by ascending number, so that each byte is read
  // once.
  template <class T>
  class Array {
   public:
    Array(const InputFile& file, size_t offset, size_t count)
        : file_(file), offset_(offset), count_(count) {}

    T operator[](size_t i) {
      if (i < first_ || i >= first_ + window_.size() / sizeof(T)) {
        window_.resize(std::min(kWindow / sizeof(T), count_ - i) * sizeof(T));
        file_.read(offset_ + i * sizeof(T), window_);
        first_ = i;
      }
      return load<T>(window_.data() + (i - first_) * sizeof(T));
    }

   private:
    const InputFile& file_;
    size_t offset_, count_, first_ = 0;
    std::vector<std::byte> window_;  // elements from first_ on
  };

  void parse_header(TokenIndex& index) {
    if (file_.size() < kIndexHeader)
      refuse(fmt::format("has {} bytes, but an index has at least {}", file_.size(), kIndexHeader));
    std::byte bytes[kIndexHeader];
    file_.read(0, bytes);
    if (std::memcmp(bytes, kIndexMagic.data(), kIndexMagic.size()) != 0)
      refuse("does not begin with MMIDIDX, so it is not the index of a token dataset");
    if (const auto version = load<uint64_t>(&bytes[9]); version != kIndexVersion)
      refuse(
          fmt::format("has version {}, but only version {} is supported", version, kIndexVersion));
    const auto code = load<uint8_t>(&bytes[17]);
    index.type = TokenType(code);
    if (size_of(index.type) == 0)
      refuse(fmt::format("has dtype code {}, which is not an integer type", code));

    const auto sequences = load<uint64_t>(&bytes[18]), borders = load<uint64_t>(&bytes[26]);
    uint64_t size = 0, more = 0;
    if (__builtin_mul_overflow(sequences, 12u, &size) ||
        __builtin_mul_overflow(borders, 8u, &more) || __builtin_add_overflow(size, more, &size) ||
        __builtin_add_overflow(size, kIndexHeader, &size) || size != file_.size())
      refuse(fmt::format(
          "has {} bytes, which do not fit {} sequences and {} document boundaries (dtype code {}): "
          "it was cut short, or has multimodal extras, which are not supported",
          file_.size(), sequences, borders, code));
    if (sequences == 0 || borders < 2) refuse("the dataset is empty: it has no documents");
    sequences_ = size_t(sequences), borders_ = size_t(borders);
    index.sequences = int64_t(sequences);
  }

  // Checks that sequences lie in the token file one after another, without gaps. Each byte is read
  // once: what is kept is what was checked, whatever happens to the file meanwhile.
  void parse_entries(TokenIndex& index) {
    const size_t width = size_of(index.type);
    Array<int32_t> sizes(file_, kIndexHeader, sequences_);
    Array<int64_t> pointers(file_, kIndexHeader + 4 * sequences_, sequences_);
    Array<int64_t> documents(file_, kIndexHeader + 12 * sequences_, borders_);
    index.begins.reserve(borders_);
    uint64_t end = 0;
    for (size_t i = 0; i < sequences_; ++i) {
      parse_borders(index, documents, i, int64_t(end / width));
      const int32_t size = sizes[i];
      const int64_t pointer = pointers[i];
      if (size < 0) refuse(fmt::format("sequence {} has {} tokens", i, size));
      if (pointer < 0 || uint64_t(pointer) != end)
        refuse(fmt::format("sequence {} begins at byte {} of the token file instead of {}", i,
                           pointer, end));
      if (__builtin_add_overflow(end, uint64_t(size) * width, &end) || end > bin_bytes_)
        refuse(fmt::format("sequence {} ends after the {} bytes of the token file", i, bin_bytes_));
    }
    if (end != bin_bytes_)
      refuse(fmt::format("covers {} of the {} bytes of the token file", end, bin_bytes_));
    if (end == 0) refuse("the dataset is empty: its documents have no tokens");
    parse_borders(index, documents, sequences_, int64_t(end / width));
    if (size_t(before_) != sequences_)
      refuse(fmt::format("the documents end at sequence {} of {}", before_, sequences_));
  }

  // Adds the documents that begin at `sequence`, whose first token is `token`; after the last
  // sequence, the end of the last document.
  void parse_borders(TokenIndex& index, Array<int64_t>& documents, size_t sequence, int64_t token) {
    for (size_t d = index.begins.size(); d < borders_; ++d) {
      const int64_t first = documents[d];
      if (first < before_ || uint64_t(first) > sequences_ || (d == 0 && first != 0))
        refuse(fmt::format("document {} begins at sequence {}, but must begin at {} to {}", d,
                           first, before_, d == 0 ? 0 : sequences_));
      if (size_t(first) > sequence) return;
      before_ = first;
      index.begins.push_back(token);
    }
  }

  const InputFile& file_;
  size_t bin_bytes_, sequences_ = 0, borders_ = 0;
  int64_t before_ = 0;  // sequence of the last document border
};

}  // namespace

TokenIndex read_token_index(const InputFile& file, size_t bin_bytes) {
  return IndexParser(file, bin_bytes).parse();
}

}  // namespace birkhoff
