#include "engine/data/token_dataset.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "engine/data/token_index.h"

namespace birkhoff {
namespace {

constexpr size_t kBlock = 4096;  // ids read at a time, on the stack: at most 32 KiB

[[noreturn]] void fail(const Path& path, const std::string& what) {
  throw DataError(fmt::format("{}: {}; prepare the dataset again (birkhoff data prepare)",
                              printable(path.string()), what));
}

// Keeps the sign: an id of a signed type may be damaged, and is then below 0.
template <typename T>
int64_t widened(T id) {
  return int64_t(id);
}

InputFile open(const Path& path) {
  try {
    return InputFile(path);
  } catch (const ResourceError& error) {
    throw DataError(
        fmt::format("no dataset: {}; give its path without .bin and .idx, or create it with "
                    "birkhoff data prepare",
                    error.what()));
  }
}

}  // namespace

TokenDataset::TokenDataset(const Path& prefix) : prefix_(prefix), bin_(open(bin_path(prefix))) {
  TokenIndex index = read_token_index(open(idx_path(prefix)), bin_.size());
  type_ = index.type;
  sequences_ = index.sequences;
  begins_ = std::move(index.begins);
  manifest_ = read_dataset_manifest(manifest_path(prefix));
  check_manifest();
}

void TokenDataset::check_manifest() const {
  if (!manifest_) return;
  if (manifest_->tokens != tokens() || manifest_->documents != documents())
    fail(manifest_path(prefix_),
         fmt::format("has {} tokens in {} documents, but the index has {} in {}", manifest_->tokens,
                     manifest_->documents, tokens(), documents()));
}

ModelTokenizer TokenDataset::tokenizer() const {
  if (!manifest_) return {.identity = TokenizerIdentity()};
  const DatasetManifest::Tokenizer& t = manifest_->tokenizer;
  TokenizerIdentity identity{
      .name = t.name, .vocab = t.vocab, .special = {.eos = {.ids = {t.end_of_document}}}};
  if (t.hash.empty()) return {.identity = identity};
  const Path path = tokenizer_path(prefix_);
  const auto refuse = [&](const std::string& why) {
    throw DataError(fmt::format(
        "the tokenizer of dataset {}: {}; copy the file that was made with the dataset, or prepare "
        "the dataset again",
        printable(prefix_.string()), why));
  };
  std::string text;
  try {
    text = read_file(path, kMaxTokenizer);
    const TokenizerIdentity file = identity_of_file(text, t.name);
    identity.bytes = file.bytes, identity.hash = file.hash;
  } catch (const ResourceError& e) {
    refuse(e.what());
  } catch (const JsonError& e) {
    refuse(fmt::format("{} {}", printable(path.string()), e.what()));
  }
  if (identity.hash != t.hash)
    refuse(fmt::format("{} does not match the manifest (xxh3-128 {}, expected {})",
                       printable(path.string()), identity.hash, t.hash));
  return {.identity = identity, .json = std::move(text)};
}

void TokenDataset::read_bytes(size_t offset, std::span<std::byte> out) const {
  try {
    bin_.read(offset, out);
  } catch (const CutShort&) {
    fail(bin_path(prefix_),
         fmt::format("the file was cut short while it was in use; it had {} bytes", bin_.size()));
  }
}

void TokenDataset::read(int64_t first, std::span<int32_t> out, int64_t vocab) const {
  check(first >= 0 && int64_t(out.size()) <= tokens() - first, "tokens [{}, +{}) of {}", first,
        out.size(), tokens());
  const auto limit = uint64_t(std::min<int64_t>(vocab, int64_t(1) << 31));
  dispatch(type_, [&](auto zero) {
    using T = decltype(zero);
    std::array<T, kBlock> block;
    for (size_t at = 0; at < out.size(); at += kBlock) {
      const std::span<T> ids = std::span(block).first(std::min(kBlock, out.size() - at));
      read_bytes((size_t(first) + at) * sizeof(T), std::as_writable_bytes(ids));
      bool good = true;  // no early exit, so that the loop is vectorised
      for (size_t i = 0; i < ids.size(); ++i) {
        const int64_t id = widened(ids[i]);
        good &= uint64_t(id) < limit;
        out[at + i] = int32_t(id);
      }
      if (good) continue;
      size_t bad = 0;
      while (uint64_t(widened(ids[bad])) < limit) ++bad;
      refuse_token(first + int64_t(at + bad), widened(ids[bad]), vocab);
    }
  });
}

void TokenDataset::refuse_token(int64_t token, int64_t id, int64_t vocab) const {
  const int64_t document =
      std::upper_bound(begins_.begin(), begins_.end(), token) - begins_.begin() - 1;
  throw DataError(fmt::format(
      "{}: document {}, token {}: id {} is outside the vocabulary of {}; prepare the data with the "
      "model's tokenizer, or set model.vocab to the vocabulary of the data's tokenizer",
      printable(bin_path(prefix_).string()), document, token - begin(document), id, vocab));
}

}  // namespace birkhoff
