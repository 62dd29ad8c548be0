#include "engine/data/token_dataset.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {
namespace {

[[noreturn]] void fail(const Path& path, const std::string& what) {
  throw DataError(fmt::format("{}: {}; prepare the dataset again (birkhoff data prepare)",
                              printable(path.string()), what));
}

MappedFile map(const Path& path) {
  try {
    return MappedFile(path);
  } catch (const ResourceError& error) {
    throw DataError(fmt::format(
        "no dataset: {}; give the path without .bin and .idx, or make it by birkhoff data prepare",
        error.what()));
  }
}

// The index of a dataset, checked against its own size and that of the token file.
struct Index {
  TokenType type = TokenType::u16;
  int64_t sequences = 0;
  std::vector<int64_t> begins;  // token index of each document, then the number of tokens
};

class IndexParser {
 public:
  IndexParser(const Path& path, size_t bin_bytes)
      : path_(path), map_(map(path)), bin_bytes_(bin_bytes) {}

  Index parse() {
    Index index;
    parse_header(index);
    parse_documents(index, parse_sequences(index));
    if (!map_.whole()) refuse("the file was cut while it was read");
    return index;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { fail(path_, what); }

  template <class T>
  T at(size_t offset, size_t i) const {
    return load<T>(map_.bytes().data() + offset + i * sizeof(T));
  }

  void parse_header(Index& index) {
    const std::span<const std::byte> bytes = map_.bytes();
    if (bytes.size() < kIndexHeader)
      refuse(fmt::format("has {} bytes, an index has at least {}", bytes.size(), kIndexHeader));
    if (std::memcmp(bytes.data(), kIndexMagic.data(), kIndexMagic.size()) != 0)
      refuse("does not begin with MMIDIDX: not the index of a token dataset");
    if (const auto version = load<uint64_t>(&bytes[9]); version != kIndexVersion)
      refuse(fmt::format("has version {}, known here is {}", version, kIndexVersion));
    const auto code = load<uint8_t>(&bytes[17]);
    index.type = TokenType(code);
    if (size_of(index.type) == 0)
      refuse(fmt::format("has dtype code {}, which is no integer type", code));

    const auto sequences = load<uint64_t>(&bytes[18]), borders = load<uint64_t>(&bytes[26]);
    uint64_t size = 0, more = 0;
    if (__builtin_mul_overflow(sequences, 12u, &size) ||
        __builtin_mul_overflow(borders, 8u, &more) || __builtin_add_overflow(size, more, &size) ||
        __builtin_add_overflow(size, kIndexHeader, &size) || size != bytes.size())
      refuse(
          fmt::format("has {} bytes, which do not fit {} sequences and {} document borders (dtype "
                      "code {}): cut, or with multimodal extras that are not read here",
                      bytes.size(), sequences, borders, code));
    if (sequences == 0 || borders < 2) refuse("the dataset is empty: it has no documents");
    sequences_ = size_t(sequences), borders_ = size_t(borders);
    index.sequences = int64_t(sequences);
  }

  // Sequences must lie in the token file one behind the other, without gaps. Returns the number of
  // tokens.
  int64_t parse_sequences(const Index& index) {
    const size_t width = size_of(index.type), sizes = kIndexHeader,
                 pointers = sizes + 4 * sequences_;
    uint64_t end = 0;
    for (size_t i = 0; i < sequences_; ++i) {
      const auto size = at<int32_t>(sizes, i);
      const auto pointer = at<int64_t>(pointers, i);
      if (size < 0) refuse(fmt::format("sequence {} has {} tokens", i, size));
      if (pointer < 0 || uint64_t(pointer) != end)
        refuse(fmt::format("sequence {} begins at byte {} of the token file instead of {}", i,
                           pointer, end));
      if (__builtin_add_overflow(end, uint64_t(size) * width, &end) || end > bin_bytes_)
        refuse(
            fmt::format("sequence {} ends behind the {} bytes of the token file", i, bin_bytes_));
    }
    if (end != bin_bytes_)
      refuse(fmt::format("covers {} of the {} bytes of the token file", end, bin_bytes_));
    if (end == 0) refuse("the dataset is empty: its documents have no tokens");
    return int64_t(end / width);
  }

  void parse_documents(Index& index, int64_t tokens) {
    const size_t width = size_of(index.type), pointers = kIndexHeader + 4 * sequences_;
    const size_t documents = pointers + 8 * sequences_;
    index.begins.reserve(borders_);
    int64_t before = 0;
    for (size_t d = 0; d < borders_; ++d) {
      const auto first = at<int64_t>(documents, d);
      if (first < before || uint64_t(first) > sequences_ || (d == 0 && first != 0))
        refuse(fmt::format("document {} begins at sequence {}, expected {} to {}", d, first, before,
                           d == 0 ? 0 : sequences_));
      before = first;
      index.begins.push_back(size_t(first) == sequences_
                                 ? tokens
                                 : at<int64_t>(pointers, size_t(first)) / int64_t(width));
    }
    if (size_t(before) != sequences_)
      refuse(fmt::format("the documents end at sequence {} of {}", before, sequences_));
  }

  Path path_;
  MappedFile map_;
  size_t bin_bytes_ = 0, sequences_ = 0, borders_ = 0;
};

}  // namespace

TokenDataset::TokenDataset(const Path& prefix) : prefix_(prefix) {
  bin_ = map(bin_path(prefix));
  Index index = IndexParser(idx_path(prefix), bin_.bytes().size()).parse();
  type_ = index.type;
  sequences_ = index.sequences;
  begins_ = std::move(index.begins);
  manifest_ = read_manifest(manifest_path(prefix));
  check_manifest();
}

void TokenDataset::check_manifest() const {
  if (!manifest_) return;
  if (manifest_->tokens != tokens() || manifest_->documents != documents())
    fail(manifest_path(prefix_),
         fmt::format("speaks of {} tokens in {} documents, the index of {} in {}",
                     manifest_->tokens, manifest_->documents, tokens(), documents()));
}

std::span<const std::byte> TokenDataset::bytes() const {
  if (!bin_.whole())
    fail(bin_path(prefix_),
         fmt::format("the file was cut while it was in use; it had {} bytes", bin_.bytes().size()));
  return bin_.bytes();
}

void TokenDataset::read(int64_t first, std::span<int32_t> out, int64_t vocab) const {
  check(first >= 0 && int64_t(out.size()) <= tokens() - first, "tokens [{}, +{}) of {}", first,
        out.size(), tokens());
  const std::byte* from = bytes().data();
  const auto limit = uint64_t(std::min<int64_t>(vocab, int64_t(1) << 31));
  dispatch(type_, [&](auto zero) {
    using T = decltype(zero);
    from += size_t(first) * sizeof(T);
    bool good = true;  // no early exit, so that the loop is vectorised
    for (size_t i = 0; i < out.size(); ++i) {
      const auto id = load<T>(from + i * sizeof(T));
      good &= uint64_t(int64_t(id)) < limit;
      out[i] = int32_t(id);
    }
    if (!good) refuse_token(first, vocab);
  });
}

void TokenDataset::refuse_token(int64_t first, int64_t vocab) const {
  const auto id_at = [&](int64_t i) {
    return dispatch(type_, [&](auto zero) {
      return int64_t(load<decltype(zero)>(bin_.bytes().data() + size_t(i) * sizeof zero));
    });
  };
  while (id_at(first) >= 0 && id_at(first) < std::min<int64_t>(vocab, int64_t(1) << 31)) ++first;
  const int64_t document =
      std::upper_bound(begins_.begin(), begins_.end(), first) - begins_.begin() - 1;
  throw DataError(
      fmt::format("{}: document {}, token {}: id {} is outside the vocabulary of {}; prepare the "
                  "data with the model's tokenizer, or set the model's vocabulary to it",
                  printable(bin_path(prefix_).string()), document, first - begin(document),
                  id_at(first), vocab));
}

}  // namespace birkhoff
