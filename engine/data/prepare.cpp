#include "engine/data/prepare.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "engine/data/token_writer.h"

namespace birkhoff {
namespace {

[[noreturn]] void fail(const Path& path, const std::string& what) {
  throw DataError(fmt::format("{}: {}; prepare the dataset again (birkhoff data prepare)",
                              printable(path.string()), what));
}

// `read` fills a buffer with the file's bytes from an offset on.
template <class Read>
void verify_hash(const Path& path, size_t bytes, const std::string& expected, Read read) {
  Hash128 hash;
  std::vector<std::byte> buffer(std::min(bytes, size_t(1) << 20));
  for (size_t at = 0; at < bytes; at += buffer.size()) {
    const auto part = std::span(buffer).first(std::min(buffer.size(), bytes - at));
    read(at, part);
    hash.add(part);
  }
  if (const std::string found = hash.digits(); found != expected)
    fail(path,
         fmt::format(
             "its contents do not match their hash in the manifest (xxh3-128 {}, expected {})",
             found, expected));
}

}  // namespace

PrepareCounts prepare(const PrepareOptions& options, const Tokenizer& tokenizer,
                      const std::function<void(const PrepareCounts&)>& progress) {
  TokenWriter writer(options.out, token_type_for(tokenizer.vocab()), options.overwrite,
                     options.files);
  PrepareCounts counts;
  std::vector<int32_t> ids;
  int64_t before = 0;  // bytes of the files already read
  DocumentReader reader;
  reader.document = [&](std::string_view text) {
    if (text.empty()) {
      ++counts.empty;
      return;
    }
    ids.clear();
    tokenizer.encode(text, ids);
    ids.push_back(tokenizer.end_of_document());
    writer.add_document(ids);
    counts.bytes += int64_t(text.size());
    counts.documents = writer.documents();
    counts.tokens = writer.tokens();
  };
  reader.progress = [&](int64_t bytes) {
    counts.read = before + bytes;
    if (progress) progress(counts);
  };
  reader.bad_line = [&](const std::string& what) {
    if (counts.bad == options.skip_bad)
      throw DataError(counts.bad == 0 ? what
                                      : fmt::format("{}; {} bad lines were skipped before it, as "
                                                    "many as --skip-bad allows",
                                                    what, counts.bad));
    if (counts.bad++ == 0) counts.first_bad = what;
  };
  for (const Path& file : options.files) {
    read_documents(file, options.documents, reader);
    before = counts.read;
  }
  writer.commit({.tokenizer = {.name = std::string(tokenizer.name()),
                               .vocab = tokenizer.vocab(),
                               .end_of_document = tokenizer.end_of_document()},
                 .bytes = counts.bytes});
  return counts;
}

VerifyCounts verify(const TokenDataset& dataset, int64_t vocab) {
  const auto& manifest = dataset.manifest();
  const Path bin = bin_path(dataset.prefix());
  VerifyCounts counts{.tokens = dataset.tokens(), .documents = dataset.documents()};
  if (manifest && !manifest->bin_hash.empty()) {
    verify_hash(bin, dataset.bytes(), manifest->bin_hash,
                [&](size_t at, std::span<std::byte> out) { dataset.read_bytes(at, out); });
    const InputFile idx(idx_path(dataset.prefix()));
    verify_hash(idx.path(), idx.size(), manifest->idx_hash,
                [&](size_t at, std::span<std::byte> out) {
                  try {
                    idx.read(at, out);
                  } catch (const CutShort&) {
                    fail(idx.path(), "the file was cut short while it was read");
                  }
                });
    counts.hashes = true;
  }
  dataset.tokenizer();  // throws if its file does not match the manifest's hash
  if (vocab == 0) vocab = manifest ? manifest->tokenizer.vocab : int64_t(1) << 31;

  std::vector<int32_t> ids(1 << 16);
  for (int64_t d = 0; d < dataset.documents(); ++d) {
    const int64_t end = dataset.begin(d + 1);
    for (int64_t at = dataset.begin(d); at < end;) {
      const auto part = std::span(ids).first(size_t(std::min<int64_t>(end - at, 1 << 16)));
      dataset.read(at, part, vocab);
      at += int64_t(part.size());
      if (!manifest) continue;
      const auto border = std::find(part.begin(), part.end(), manifest->tokenizer.end_of_document);
      const bool last = at == end;
      const auto expected = last ? part.end() - 1 : part.end();
      if (border != expected)
        fail(bin, fmt::format("document {} {} the end-of-document token {}", d,
                              border == part.end() ? "does not end with" : "has, before its end,",
                              manifest->tokenizer.end_of_document));
    }
  }
  return counts;
}

void write_text(const TokenDataset& dataset, const Documents& documents, const Tokenizer& tokenizer,
                const std::function<void(std::string_view text)>& sink) {
  std::vector<int32_t> ids;
  for (const int64_t d : documents.ids) {
    ids.resize(size_t(dataset.length(d)));
    dataset.read(dataset.begin(d), ids, tokenizer.vocab());
    sink(tokenizer.decode(ids) + '\n');
  }
}

}  // namespace birkhoff
