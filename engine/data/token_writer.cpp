#include "engine/data/token_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "base/directory.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/system_error.h"
#include "engine/data/dataset_files.h"

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

// Reads the file, since some file systems cannot map one.
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

// Creates the file first: one that exists already is not ours to remove.
TokenWriter::Aside::Aside(const Path& path) : final_path(path) {
  const DelaySignals whole;
  file = create_temporary(temporary_path(path));
  temporary.emplace(temporary_path(path));
}

void TokenWriter::Aside::move() {
  if (::rename(temporary->path().c_str(), final_path.c_str()) != 0)
    throw_system_error("rename to", final_path);
  temporary->release();
}

TokenWriter::TokenWriter(const Path& prefix, TokenType type, bool overwrite,
                         std::span<const Path> inputs)
    : prefix_(prefix), type_(type), overwrite_(overwrite) {
  check_dataset_outputs(prefix, inputs, overwrite);
  make_directories(directory_of(prefix));
  for (const Path& path : dataset_files(prefix)) remove_dead_temporaries(path, file_ids(inputs));
  bin_ = std::make_unique<Aside>(bin_path(prefix));
  buffer_.reserve(kBuffer + 8);
}

void TokenWriter::add_document(std::span<const int32_t> ids) {
  if (ids.size() > size_t(std::numeric_limits<int32_t>::max()))
    throw DataError(
        fmt::format("document {} has {} tokens, more than the 2^31 - 1 of the format; split it",
                    documents(), ids.size()));
  dispatch(type_, [&](auto zero) {
    using T = decltype(zero);
    for (const int32_t id : ids) {
      if (int64_t(T(id)) != id)
        throw DataError(fmt::format("document {}: token id {} does not fit {}", documents(), id,
                                    name_of(type_)));
      append(buffer_, T(id));
      drain(buffer_, *bin_->file, kBuffer);
    }
  });
  lengths_.push_back(int32_t(ids.size()));
  tokens_ += int64_t(ids.size());
}

// Each document is one sequence: document borders are 0, 1, 2, …
void TokenWriter::write_index(Aside& index) {
  File& file = *index.file;
  for (const char c : kIndexMagic) buffer_.push_back(std::byte(c));
  append(buffer_, kIndexVersion);
  append(buffer_, uint8_t(type_));
  append(buffer_, uint64_t(lengths_.size()));
  append(buffer_, uint64_t(lengths_.size() + 1));
  for (const int32_t length : lengths_) {
    append(buffer_, length);
    drain(buffer_, file, kBuffer);
  }
  int64_t pointer = 0;
  for (const int32_t length : lengths_) {
    append(buffer_, pointer);
    pointer += int64_t(length) * int64_t(size_of(type_));
    drain(buffer_, file, kBuffer);
  }
  for (int64_t d = 0; d <= documents(); ++d) {
    append(buffer_, d);
    drain(buffer_, file, kBuffer);
  }
  drain(buffer_, file);
  file.flush();
}

void TokenWriter::commit(DatasetManifest manifest) {
  if (tokens_ == 0)
    throw DataError("there is no text to prepare: every document of the input is empty");
  drain(buffer_, *bin_->file);
  bin_->file->flush();
  Aside index(idx_path(prefix_)), described(manifest_path(prefix_));
  write_index(index);
  manifest.tokens = tokens_;
  manifest.documents = documents();
  manifest.bin_hash = hash_of_file(bin_->temporary->path());
  manifest.idx_hash = hash_of_file(index.temporary->path());
  const std::string text = to_json(manifest);
  described.file->write(std::as_bytes(std::span(text)));
  described.file->flush();

  const Path directory = directory_of(prefix_);
  const DelaySignals whole;
  check_dataset_outputs(prefix_, {}, overwrite_);  // hours may have passed
  if (overwrite_) {  // first the old one goes, then the new one comes: never a mixture
    ::unlink(idx_path(prefix_).c_str());
    flush_directory(directory);
    ::unlink(tokenizer_path(prefix_).c_str());
  }
  bin_->move();
  described.move();
  index.move();
  flush_directory(directory);
}

}  // namespace birkhoff
