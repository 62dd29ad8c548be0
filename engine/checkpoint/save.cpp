#include "engine/checkpoint/save.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/directory.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/system_error.h"
#include "engine/checkpoint/leftovers.h"
#include "engine/checkpoint/stored.h"

namespace birkhoff {
namespace {

Path parent_of(const Path& directory) {
  return directory.has_parent_path() ? directory.parent_path() : Path(".");
}

// Describes the free space on the disk of `directory`, which may not exist yet.
std::string space(Path directory, size_t needed) {
  struct statvfs s;
  std::error_code error;
  while (!std::filesystem::exists(directory, error) && directory != "." && directory != "/")
    directory = parent_of(directory);
  const std::string need = needed ? fmt::format("{} bytes needed, ", needed) : "";
  if (::statvfs(directory.c_str(), &s) != 0) return need + "free bytes unknown";
  return fmt::format("{}{} free", need, size_t(s.f_bavail) * s.f_frsize);
}

// Runs a step of saving; reports errors of the file system with what is needed to act on them.
template <class F>
auto saving(const Path& directory, size_t needed, F&& f) {
  try {
    return f();
  } catch (const ResourceError& e) {
    throw ResourceError(fmt::format("cannot save checkpoint {}: {} ({})",
                                    printable(directory.string()), e.what(),
                                    space(parent_of(directory), needed)));
  }
}

// Writes the shards of one rank.
class ShardWriter {
 public:
  ShardWriter(Path aside, ShardIndex& index, const SaveOptions& options)
      : aside_(std::move(aside)), index_(index), options_(options) {}

  // REQUIRES pieces ascending by name, each name once.
  void write(std::span<const Piece* const> pieces) {
    const std::string name = shard_name(index_.rank, int(index_.files.size()));
    std::vector<NamedTensor> entries;
    for (const Piece* p : pieces)
      entries.push_back({p->name, entry_spec(p->whole, p->slice), p->bytes});
    const std::string header = safetensors_header(
        entries, {{"birkhoff.shard", name}, {"birkhoff.step", fmt::format("{}", index_.step)}});
    File file(aside_ / name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    file.write(std::as_bytes(std::span(header)));
    size_t at = header.size();
    for (const Piece* p : pieces) {
      StoredTensor& tensor =
          tensors_.try_emplace(p->name, StoredTensor{p->name, p->whole, {}}).first->second;
      check(tensor.spec == p->whole, "tensor {} is given as {} and as {}", p->name,
            to_string(tensor.spec), to_string(p->whole));
      tensor.pieces.push_back({.slice = p->slice,
                               .file = name,
                               .begin = at,
                               .end = at + p->bytes.size(),
                               .hashes = write_bytes(file, p->bytes)});
      at += p->bytes.size();
    }
    file.flush();
    unflushed_ = 0;
    index_.files.push_back({.name = name,
                            .bytes = at,
                            .header_bytes = header.size(),
                            .header_hash = hash128(std::as_bytes(std::span(header)))});
  }

  void finish() {
    for (auto& [name, tensor] : tensors_) {
      std::sort(tensor.pieces.begin(), tensor.pieces.end(),
                [](const auto& a, const auto& b) { return slice_before(a.slice, b.slice); });
      index_.tensors.push_back(std::move(tensor));
    }
  }

  void add_empty(const Piece& p) {
    check(tensors_.try_emplace(p.name, StoredTensor{p.name, p.whole, {}}).second,
          "tensor {} is given twice", p.name);
  }

 private:
  // Writes one piece; returns the hashes of its chunks.
  std::vector<std::string> write_bytes(File& file, std::span<const std::byte> bytes) {
    constexpr size_t kStep = size_t(16) << 20;  // bytes between calls of progress
    constexpr size_t kFlush = size_t(256)
                              << 20;  // a flush takes seconds on a slow disk, never more
    std::vector<std::string> hashes;
    while (!bytes.empty()) {
      std::span<const std::byte> chunk = bytes.first(std::min(options_.chunk_bytes, bytes.size()));
      bytes = bytes.subspan(chunk.size());
      hashes.push_back(hash128(chunk));
      while (!chunk.empty()) {
        const size_t n = std::min(kStep, chunk.size());
        file.write(chunk.first(n));
        chunk = chunk.subspan(n);
        if ((unflushed_ += n) >= kFlush) file.flush(), unflushed_ = 0;
        if (options_.progress) options_.progress(n);
      }
    }
    return hashes;
  }

  Path aside_;
  ShardIndex& index_;
  const SaveOptions& options_;
  std::map<std::string, StoredTensor> tensors_;
  size_t unflushed_ = 0;
};

// Orders pieces for the shards: by name, but if tensors have several pieces here, all second pieces
// come after all first ones, and so on, since a shard holds a name only once.
std::vector<std::pair<int, const Piece*>> rounds(std::span<const Piece> pieces) {
  std::vector<std::pair<int, const Piece*>> order;
  for (const Piece& p : pieces) {
    if (!p.bytes.empty()) order.emplace_back(0, &p);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second->name != b.second->name ? a.second->name < b.second->name
                                            : slice_before(a.second->slice, b.second->slice);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1].second->name == order[i].second->name) order[i].first = order[i - 1].first + 1;
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return order;
}

void check_piece(const Piece& p) {
  const bool empty = p.whole.count() == 0;
  check(is_tensor_name(p.name), "'{}' is not a valid tensor name", printable(p.name));
  check(empty ? p.bytes.empty() : lies_in(p.slice, p.whole.shape),
        "piece {} does not lie within tensor {} {}", to_string(p.slice), p.name,
        to_string(p.whole));
  check(empty || p.bytes.size() == size_t(p.slice.count()) * size_of(p.whole.dtype),
        "tensor {} {}: {} bytes do not fit {}", p.name, to_string(p.whole), p.bytes.size(),
        to_string(p.slice));
}

Manifest merge(const CheckpointInfo& info, std::span<const ShardIndex> indices) {
  check(!indices.empty() && info.step >= 0 && info.tokens >= 0,
        "invalid checkpoint: step {}, {} ranks", info.step, indices.size());
  Manifest m{.info = info, .chunk_bytes = indices[0].chunk_bytes};
  std::map<std::string, StoredTensor> tensors;
  for (const ShardIndex& index : indices) {
    check(index.step == info.step && index.chunk_bytes == m.chunk_bytes,
          "rank {} saved step {} in chunks of {} bytes, but this is step {} in chunks of {}",
          index.rank, index.step, index.chunk_bytes, info.step, m.chunk_bytes);
    m.files.insert(m.files.end(), index.files.begin(), index.files.end());
    for (const StoredTensor& t : index.tensors) {
      StoredTensor& all =
          tensors.try_emplace(t.name, StoredTensor{t.name, t.spec, {}}).first->second;
      check(all.spec == t.spec, "tensor {} is {} on rank {}, but {} on others", t.name,
            to_string(t.spec), index.rank, to_string(all.spec));
      all.pieces.insert(all.pieces.end(), t.pieces.begin(), t.pieces.end());
    }
  }
  std::sort(m.files.begin(), m.files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (auto& [name, t] : tensors) {
    std::sort(t.pieces.begin(), t.pieces.end(),
              [](const auto& a, const auto& b) { return slice_before(a.slice, b.slice); });
    m.tensors.push_back(std::move(t));
  }
  const std::string fault = manifest_fault(m);
  check(fault.empty(), "checkpoint of step {}: {}", info.step, fault);
  return m;
}

// Catches a run.dir on node-local disk: that rank's files are not visible here.
void check_files(const Path& aside, const Manifest& m) {
  const Directory directory(aside);
  for (const ShardFile& shard : m.files) {
    const InputFile file = directory.open(shard.name);
    if (file.size() != shard.bytes)
      throw ResourceError(fmt::format(
          "{} has {} bytes, but its rank wrote {}: make sure that all ranks see the same run.dir",
          printable(file.path().string()), file.size(), shard.bytes));
  }
}

void check_tokenizer(const std::optional<TokenizerIdentity>& identity, std::string_view json) {
  const bool has_file = identity && identity->has_file();
  check(has_file ? identity->bytes == json.size() && identity->hash == hash_of(json) : json.empty(),
        "a tokenizer.json of {} bytes does not belong to tokenizer {}", json.size(),
        identity ? to_string(*identity) : "null");
}

void write_new(const Path& path, std::string_view text) {
  File file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  file.write(std::as_bytes(std::span(text)));
  file.flush();
}

void refuse_existing(const Path& directory) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(directory, error)))
    throw ResourceError("it already exists and is never overwritten; move it away");
}

size_t total_bytes(std::span<const ShardIndex> indices) {
  size_t bytes = 0;
  for (const ShardIndex& index : indices) {
    for (const ShardFile& file : index.files) bytes += file.bytes;
  }
  return bytes;
}

}  // namespace

void begin_checkpoint(const Path& directory, size_t bytes) {
  saving(directory, bytes, [&] {
    const Path parent = parent_of(directory), aside = partial_path(directory);
    refuse_existing(directory);
    make_durable_directories(parent);
    if (!remove_leftover(aside)) throw_system_error("remove", aside);
    if (::mkdir(aside.c_str(), 0755) != 0) throw_system_error("create the directory", aside);
    flush_directory(parent);
  });
}

ShardIndex write_shards(const Path& directory, int64_t step, int rank,
                        std::span<const Piece> pieces, const SaveOptions& options) {
  check(options.chunk_bytes > 0 && options.chunk_bytes <= kMaxHashChunk,
        "invalid hash chunk size of {} bytes", options.chunk_bytes);
  size_t needed = 0;
  for (const Piece& p : pieces) check_piece(p), needed += p.bytes.size();
  return saving(directory, needed, [&] {
    ShardIndex index{.step = step, .rank = rank, .chunk_bytes = options.chunk_bytes};
    ShardWriter writer(partial_path(directory), index, options);
    const auto order = rounds(pieces);
    for (size_t i = 0; i < order.size();) {
      std::vector<const Piece*> shard;
      const int round = order[i].first;
      size_t bytes = 0;
      for (; i < order.size() && order[i].first == round; ++i) {
        bytes += order[i].second->bytes.size();
        if (!shard.empty() && bytes > options.shard_bytes) break;
        shard.push_back(order[i].second);
      }
      writer.write(shard);
    }
    for (const Piece& p : pieces) {
      if (p.whole.count() == 0) writer.add_empty(p);
    }
    writer.finish();
    return index;
  });
}

std::string commit_checkpoint(const Path& directory, const CheckpointInfo& info,
                              std::span<const ShardIndex> indices,
                              std::string_view tokenizer_json) {
  check_tokenizer(info.tokenizer, tokenizer_json);
  const Manifest manifest = merge(info, indices);
  const std::string text = manifest_text(manifest);
  return saving(directory, total_bytes(indices) + tokenizer_json.size() + text.size(), [&] {
    const Path parent = parent_of(directory), aside = partial_path(directory);
    if (text.size() > kMaxManifest)
      throw ResourceError(fmt::format("the manifest has {} bytes, but the format allows at most {}",
                                      text.size(), kMaxManifest));
    check_files(aside, manifest);
    if (!tokenizer_json.empty()) write_new(aside / kTokenizerName, tokenizer_json);
    write_new(aside / kManifestName, text);
    flush_directory(aside);
    refuse_existing(directory);  // rename() would replace an empty directory
    if (::rename(aside.c_str(), directory.c_str()) != 0) throw_system_error("rename to", directory);
    flush_directory(parent);
    return manifest_hash(text);
  });
}

void abandon_checkpoint(const Path& directory) noexcept {
  try {
    remove_leftover(partial_path(directory));
  } catch (const std::exception&) {  // the error to report is what made the save fail
  }
}

std::string save_checkpoint(const Path& directory, const CheckpointInfo& info,
                            std::span<const NamedTensor> tensors, const SaveOptions& options,
                            std::string_view tokenizer_json) {
  const std::vector<Piece> pieces = whole_pieces(tensors);
  size_t bytes = tokenizer_json.size();
  for (const Piece& p : pieces) bytes += p.bytes.size();
  begin_checkpoint(directory, bytes);
  try {
    const ShardIndex index = write_shards(directory, info.step, 0, pieces, options);
    return commit_checkpoint(directory, info, {&index, 1}, tokenizer_json);
  } catch (...) {
    abandon_checkpoint(directory);
    throw;
  }
}

}  // namespace birkhoff
