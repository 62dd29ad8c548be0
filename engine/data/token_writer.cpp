#include "engine/data/token_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "base/directory.h"
#include "base/error.h"
#include "base/hash.h"

namespace birkhoff {
namespace {

constexpr size_t kBuffer = 1 << 20;

template <class T>
void append(std::vector<std::byte>& buffer, T value) {
  const auto* p = reinterpret_cast<const std::byte*>(&value);
  buffer.insert(buffer.end(), p, p + sizeof value);
}

void drain(std::vector<std::byte>& buffer, File& file, size_t above = 0) {
  if (buffer.size() < above) return;
  file.write(buffer);
  buffer.clear();
}

// Temporary names carry the process id; a file of that name is left from a process that is gone.
std::unique_ptr<File> create(const Path& path) {
  ::unlink(path.c_str());
  return std::make_unique<File>(path, O_WRONLY | O_CREAT | O_EXCL);
}

void move(const Path& from, const Path& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error)
    throw ResourceError(
        fmt::format("cannot rename to {}: {}", printable(to.string()), error.message()));
}

// The tokenizer.json of the dataset that is overwritten: it is one that its manifest has noted.
void remove_old_tokenizer(const Path& prefix) {
  try {
    const auto old = read_dataset_manifest(manifest_path(prefix));
    if (old && !old->tokenizer.hash.empty()) ::unlink(tokenizer_path(prefix).c_str());
  } catch (const DataError&) {  // no manifest of ours: nothing says whose the file is
  }
}

// Read, not mapped: some file systems cannot map a file.
std::string hash_of_file(const Path& path) {
  const InputFile file(path);
  std::vector<std::byte> block(std::min(kBuffer, file.size()));
  Hash128 hash;
  for (size_t at = 0; at < file.size(); at += block.size()) {
    block.resize(std::min(kBuffer, file.size() - at));
    file.read(at, block);
    hash.add(block);
  }
  return hash.digits();
}

Path directory_of(const Path& prefix) {
  return prefix.has_parent_path() ? prefix.parent_path() : Path(".");
}

}  // namespace

TokenWriter::TokenWriter(const Path& prefix, TokenType type, bool overwrite)
    : prefix_(prefix), type_(type), overwrite_(overwrite) {
  if (!prefix.has_filename())
    throw DataError(fmt::format("'{}' is a directory: give a name for the dataset in it",
                                printable(prefix.string())));
  if (!overwrite && std::filesystem::exists(idx_path(prefix)))
    throw DataError(
        fmt::format("{} exists: choose another name, or overwrite it on purpose "
                    "(--overwrite)",
                    printable(idx_path(prefix).string())));
  make_directories(directory_of(prefix));
  const std::string suffix = fmt::format(".tmp-{}", ::getpid());
  bin_aside_ = bin_path(prefix).string() + suffix;
  idx_aside_ = idx_path(prefix).string() + suffix;
  bin_ = create(bin_aside_);
  buffer_.reserve(kBuffer + 8);
}

TokenWriter::~TokenWriter() { remove_temporaries(); }

void TokenWriter::remove_temporaries() noexcept {
  ::unlink(bin_aside_.c_str());
  ::unlink(idx_aside_.c_str());
}

void TokenWriter::add_document(std::span<const int32_t> ids) {
  if (ids.size() > size_t(std::numeric_limits<int32_t>::max()))
    throw DataError(
        fmt::format("document {} has {} tokens, more than the 2^31 - 1 of the format: "
                    "split it",
                    documents(), ids.size()));
  dispatch(type_, [&](auto zero) {
    using T = decltype(zero);
    for (const int32_t id : ids) {
      if (int64_t(T(id)) != id)
        throw DataError(fmt::format("document {}: token id {} does not fit {}", documents(), id,
                                    name_of(type_)));
      append(buffer_, T(id));
      drain(buffer_, *bin_, kBuffer);
    }
  });
  lengths_.push_back(int32_t(ids.size()));
  tokens_ += int64_t(ids.size());
}

// Each document is one sequence: document borders are 0, 1, 2, …
void TokenWriter::write_index() {
  const auto file = create(idx_aside_);
  for (const char c : kIndexMagic) buffer_.push_back(std::byte(c));
  append(buffer_, kIndexVersion);
  append(buffer_, uint8_t(type_));
  append(buffer_, uint64_t(lengths_.size()));
  append(buffer_, uint64_t(lengths_.size() + 1));
  for (const int32_t length : lengths_) {
    append(buffer_, length);
    drain(buffer_, *file, kBuffer);
  }
  int64_t pointer = 0;
  for (const int32_t length : lengths_) {
    append(buffer_, pointer);
    pointer += int64_t(length) * int64_t(size_of(type_));
    drain(buffer_, *file, kBuffer);
  }
  for (int64_t d = 0; d <= documents(); ++d) {
    append(buffer_, d);
    drain(buffer_, *file, kBuffer);
  }
  drain(buffer_, *file);
  file->flush();
}

void TokenWriter::commit(DatasetManifest manifest) {
  if (tokens_ == 0)
    throw DataError("there is no text to prepare: the input has no document that is not empty");
  drain(buffer_, *bin_);
  bin_->flush();
  bin_.reset();
  write_index();
  manifest.tokens = tokens_;
  manifest.documents = documents();
  manifest.bin_hash = hash_of_file(bin_aside_);
  manifest.idx_hash = hash_of_file(idx_aside_);

  const Path directory = directory_of(prefix_);
  if (overwrite_) {  // first the old one is gone, then the new one comes: never a mixture
    ::unlink(idx_path(prefix_).c_str());
    flush_directory(directory);
    remove_old_tokenizer(prefix_);
  }
  move(bin_aside_, bin_path(prefix_));
  write_file(manifest_path(prefix_), to_json(manifest));
  move(idx_aside_, idx_path(prefix_));
  flush_directory(directory);
}

}  // namespace birkhoff
