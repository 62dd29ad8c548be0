#include "engine/checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/hash.h"
#include "engine/checkpoint/checkpoint_error.h"
#include "engine/checkpoint/stored.h"

namespace birkhoff {
namespace {

Manifest read_manifest(const Directory& directory) {
  const InputFile file = directory.open(std::string(kManifestName));
  if (file.size() > kMaxManifest)
    throw CheckpointError(fmt::format("{} has {} bytes, too many for a manifest",
                                      printable(file.path().string()), file.size()));
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return parse_manifest(text, file.path().string());
}

// A directory may have any name except that of another step: runs would resume from it in the wrong
// order.
void check_directory_name(const Path& directory, const Manifest& manifest) {
  const std::string name = directory.filename().string();
  if (name.starts_with("step-") && name != checkpoint_name(manifest.info.step))
    throw CheckpointError(
        fmt::format("checkpoint {}: its manifest.json is of step {}, so the directory was renamed "
                    "or the file replaced; use another checkpoint",
                    printable(directory.string()), manifest.info.step));
}

void check_shard(const Directory& directory, const ShardFile& shard,
                 const std::vector<SafetensorsEntry>& wanted) {
  const InputFile file = directory.open(shard.name);
  const std::string path = file.path().string();
  if (file.size() != shard.bytes)
    throw CheckpointError(fmt::format(
        "{} has {} bytes, but the manifest says {}; use another checkpoint or restore this file",
        printable(path), file.size(), shard.bytes));
  if (shard.header_bytes > shard.bytes)
    throw CheckpointError(fmt::format("{} is shorter than its header", printable(path)));
  std::vector<std::byte> bytes(shard.header_bytes);
  file.read(0, bytes);
  if (hash128(bytes) != shard.header_hash)
    throw CheckpointError(
        fmt::format("{}: header, bytes 0 to {}: contents do not match their hash in the manifest; "
                    "use another checkpoint or restore this file",
                    printable(path), bytes.size()));
  if (safetensors_header_bytes(bytes, shard.bytes, path) != bytes.size() ||
      parse_safetensors(bytes, shard.bytes, path).tensors != wanted)
    throw CheckpointError(
        fmt::format("{}: the header does not agree with the manifest; use another checkpoint or "
                    "restore this file",
                    printable(path)));
}

void check_shards(const Directory& directory, const Manifest& manifest) {
  std::map<std::string_view, std::vector<SafetensorsEntry>> entries;
  for (const StoredTensor& t : manifest.tensors) {
    for (const StoredPiece& p : t.pieces)
      entries[p.file].push_back(
          {.name = t.name, .spec = entry_spec(t.spec, p.slice), .begin = p.begin, .end = p.end});
  }
  for (const ShardFile& shard : manifest.files) {
    std::vector<SafetensorsEntry>& wanted = entries[shard.name];
    std::sort(wanted.begin(), wanted.end(),
              [](const auto& a, const auto& b) { return a.begin < b.begin; });
    check_shard(directory, shard, wanted);
  }
}

// The verified bytes of tokenizer.json; empty if the manifest lists none.
std::string read_tokenizer(const Directory& directory, const Manifest& manifest) {
  const auto& identity = manifest.info.tokenizer;
  if (!identity || !identity->has_file()) return {};
  const InputFile file = directory.open(std::string(kTokenizerName));
  const std::string path = printable(file.path().string());
  if (file.size() != identity->bytes)
    throw CheckpointError(fmt::format(
        "{} has {} bytes, but the manifest says {}; use another checkpoint or restore this file",
        path, file.size(), identity->bytes));
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  if (hash_of(text) != identity->hash)
    throw CheckpointError(
        fmt::format("{}: contents do not match their hash in the manifest; use another checkpoint "
                    "or restore this file",
                    path));
  return text;
}

// Reads bytes of one piece, in ascending order. Each chunk is read once and verified before use.
class PieceReader {
 public:
  PieceReader(const Directory& directory, const StoredTensor& tensor, const StoredPiece& piece,
              size_t chunk_bytes, const ByteProgress& progress)
      : file_(directory.open(piece.file)),
        tensor_(tensor),
        piece_(piece),
        chunk_bytes_(chunk_bytes),
        progress_(progress) {}

  // Bytes [at, at + out.size()) of the piece.
  void read(size_t at, std::span<std::byte> out) {
    while (!out.empty()) {
      const size_t index = at / chunk_bytes_, begin = index * chunk_bytes_;
      const size_t end = std::min(begin + chunk_bytes_, piece_.end - piece_.begin);
      const size_t n = std::min(end - at, out.size());
      if (n == end - begin && index != loaded_) {
        load(index, begin, out.first(n));  // verified in place: no copy
      } else {
        if (index != loaded_) {
          chunk_.resize(end - begin);
          load(index, begin, chunk_);
          loaded_ = index;
        }
        std::memcpy(out.data(), chunk_.data() + (at - begin), n);
      }
      at += n;
      out = out.subspan(n);
    }
  }

  // Reads and verifies the whole piece.
  void verify() {
    for (size_t index = 0; index < piece_.hashes.size(); ++index) {
      const size_t begin = index * chunk_bytes_;
      chunk_.resize(std::min(chunk_bytes_, piece_.end - piece_.begin - begin));
      load(index, begin, chunk_);
    }
  }

 private:
  void load(size_t index, size_t at, std::span<std::byte> bytes) {
    constexpr size_t kStep = size_t(16) << 20;  // bytes between calls of progress
    const size_t begin = piece_.begin + at;
    for (size_t done = 0; done < bytes.size(); done += kStep) {
      const size_t n = std::min(kStep, bytes.size() - done);
      file_.read(begin + done, bytes.subspan(done, n));
      if (progress_) progress_(n);
    }
    if (hash128(bytes) != piece_.hashes[index])
      throw CheckpointError(
          fmt::format("{}: tensor {}, bytes {} to {}: contents do not match their hash in the "
                      "manifest; use another checkpoint or restore this file",
                      printable(file_.path().string()), tensor_.name, begin, begin + bytes.size()));
  }

  const InputFile file_;
  const StoredTensor& tensor_;
  const StoredPiece& piece_;
  const size_t chunk_bytes_;
  const ByteProgress& progress_;
  std::vector<std::byte> chunk_;
  size_t loaded_ = SIZE_MAX;  // the chunk that chunk_ holds
};

}  // namespace

Checkpoint Checkpoint::open(const Path& path) {
  return as_checkpoint_error([&] {
    // "run/checkpoints/step-00000100/" has no file name; without the slash it has one.
    Directory directory(path.has_filename() ? path : path.parent_path());
    Manifest manifest = read_manifest(directory);
    check_directory_name(directory.path(), manifest);
    check_shards(directory, manifest);
    read_tokenizer(directory, manifest);
    return Checkpoint(std::move(directory), std::move(manifest));
  });
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto& tensors = manifest_.tensors;
  const auto found = std::lower_bound(tensors.begin(), tensors.end(), name,
                                      [](const auto& t, std::string_view n) { return t.name < n; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

const StoredTensor& Checkpoint::wanted(std::string_view name, const TensorSpec& whole) const {
  const StoredTensor* tensor = find(name);
  if (!tensor)
    throw CheckpointError(fmt::format("checkpoint {} has no tensor {}: it belongs to another model",
                                      printable(path().string()), printable(name)));
  if (tensor->spec != whole)
    throw CheckpointError(fmt::format(
        "checkpoint {}: tensor {} is {}, but {} is needed: it belongs to another model",
        printable(path().string()), printable(name), to_string(tensor->spec), to_string(whole)));
  return *tensor;
}

void Checkpoint::read(std::string_view name, const TensorSpec& whole, const Slice& slice,
                      std::span<std::byte> bytes, const ByteProgress& progress) const {
  const StoredTensor& tensor = wanted(name, whole);
  const size_t size = size_of(whole.dtype);
  check(lies_in(slice, whole.shape) && bytes.size() == size_t(slice.count()) * size,
        "{} bytes do not fit {} of tensor {} {}", bytes.size(), to_string(slice), name,
        to_string(whole));
  as_checkpoint_error([&] {
    int64_t got = 0;
    for (const StoredPiece& piece : tensor.pieces) {
      std::optional<PieceReader> reader;  // opened only if the piece has some of it
      for_each_shared_run(piece.slice, slice, [&](const SharedRun& run) {
        if (!reader) reader.emplace(directory_, tensor, piece, manifest_.chunk_bytes, progress);
        const size_t n = size_t(run.count) * size;
        reader->read(size_t(run.from) * size, bytes.subspan(size_t(run.to) * size, n));
        got += run.count;
      });
    }
    check(got == slice.count(), "tensor {}: only {} of {} elements were read", name, got,
          slice.count());
  });
}

void Checkpoint::read(std::string_view name, const TensorSpec& spec, std::span<std::byte> bytes,
                      const ByteProgress& progress) const {
  if (spec.count() > 0) return read(name, spec, whole_slice(spec.shape), bytes, progress);
  wanted(name, spec);
  check(bytes.empty(), "{} bytes do not fit tensor {} {}", bytes.size(), name, to_string(spec));
}

ModelTokenizer Checkpoint::tokenizer() const {
  return as_checkpoint_error([&] {
    return ModelTokenizer{manifest_.info.tokenizer, read_tokenizer(directory_, manifest_)};
  });
}

void Checkpoint::verify(const ByteProgress& progress) const {
  as_checkpoint_error([&] {
    for (const StoredTensor& t : manifest_.tensors) {
      for (const StoredPiece& p : t.pieces)
        PieceReader(directory_, t, p, manifest_.chunk_bytes, progress).verify();
    }
  });
}

}  // namespace birkhoff
