#include "engine/checkpoint/checkpoint.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"

namespace birkhoff {
namespace {

// Runs `f`; what the file system refuses is an error of the checkpoint.
template <class F>
auto as_checkpoint_error(F&& f) {
  try {
    return f();
  } catch (const ResourceError& e) {
    throw CheckpointError(e.what());
  }
}

Manifest read_manifest(const Directory& directory) {
  const InputFile file = directory.open(std::string(kManifestName));
  if (file.size() > kMaxManifest)
    throw CheckpointError(fmt::format("{} has {} bytes, more than a manifest may have",
                                      printable(file.path().string()), file.size()));
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return parse_manifest(text, file.path().string());
}

// A directory may have any name but that of another step: a renamed one would be resumed from in
// the wrong order.
void check_directory_name(const Path& directory, const Manifest& manifest) {
  const std::string name = directory.filename().string();
  if (name.starts_with("step-") && name != checkpoint_name(manifest.info.step))
    throw CheckpointError(fmt::format("checkpoint {}: its manifest is of step {}",
                                      printable(directory.string()), manifest.info.step));
}

void check_shard(const Directory& directory, const ShardFile& shard,
                 const std::vector<SafetensorsEntry>& wanted) {
  const InputFile file = directory.open(shard.name);
  const std::string path = file.path().string();
  if (file.size() != shard.bytes)
    throw CheckpointError(fmt::format("{} has {} bytes, the manifest says {}", printable(path),
                                      file.size(), shard.bytes));
  if (shard.header_bytes > shard.bytes)
    throw CheckpointError(fmt::format("{} is shorter than its header", printable(path)));
  std::vector<std::byte> bytes(shard.header_bytes);
  file.read(0, bytes);
  if (hash128(bytes) != shard.header_hash)
    throw CheckpointError(
        fmt::format("{}: header, bytes 0 to {}: contents do not match their hash in the manifest",
                    printable(path), bytes.size()));
  if (safetensors_header_bytes(bytes, shard.bytes, path) != bytes.size() ||
      parse_safetensors(bytes, shard.bytes, path).tensors != wanted)
    throw CheckpointError(fmt::format("{}: header and manifest differ", printable(path)));
}

void check_shards(const Directory& directory, const Manifest& manifest) {
  std::map<std::string_view, std::vector<SafetensorsEntry>> entries;
  for (const StoredTensor& t : manifest.tensors)
    entries[t.file].push_back({.name = t.name, .spec = t.spec, .begin = t.begin, .end = t.end});
  for (const ShardFile& shard : manifest.files) {
    std::vector<SafetensorsEntry>& wanted = entries[shard.name];
    std::sort(wanted.begin(), wanted.end(), [](const auto& a, const auto& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    check_shard(directory, shard, wanted);
  }
}

// Reads chunk `index` of a tensor into `bytes` and verifies it.
void read_chunk(const InputFile& file, const StoredTensor& tensor, size_t index, size_t offset,
                std::span<std::byte> bytes) {
  const size_t begin = tensor.begin + offset;
  file.read(begin, bytes);
  if (hash128(bytes) != tensor.hashes[index])
    throw CheckpointError(
        fmt::format("{}: tensor {}, bytes {} to {}: contents do not match their hash in the "
                    "manifest; use another checkpoint or restore this file",
                    printable(file.path().string()), tensor.name, begin, begin + bytes.size()));
}

}  // namespace

std::string checkpoint_name(int64_t step) { return fmt::format("step-{:08d}", step); }

Checkpoint Checkpoint::open(const Path& path) {
  return as_checkpoint_error([&] {
    // "run/checkpoints/step-00000100/" has no last name; without the slash it has.
    Directory directory(path.has_filename() ? path : path.parent_path());
    Manifest manifest = read_manifest(directory);
    check_directory_name(directory.path(), manifest);
    check_shards(directory, manifest);
    return Checkpoint(std::move(directory), std::move(manifest));
  });
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto& tensors = manifest_.tensors;
  const auto found = std::lower_bound(tensors.begin(), tensors.end(), name,
                                      [](const auto& t, std::string_view n) { return t.name < n; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

void Checkpoint::read(std::string_view name, const TensorSpec& spec,
                      std::span<std::byte> bytes) const {
  check(bytes.size() == spec.bytes(), "{} bytes for tensor {} of {}", bytes.size(), name,
        to_string(spec));
  const StoredTensor* tensor = find(name);
  if (!tensor)
    throw CheckpointError(fmt::format("checkpoint {} has no tensor {}: it is of another model",
                                      printable(path().string()), printable(name)));
  if (tensor->spec != spec)
    throw CheckpointError(fmt::format("checkpoint {}: tensor {} is {}, wanted is {}",
                                      printable(path().string()), printable(name),
                                      to_string(tensor->spec), to_string(spec)));
  as_checkpoint_error([&] {
    const InputFile file = directory_.open(tensor->file);
    for (size_t i = 0; i < tensor->hashes.size(); ++i) {
      const size_t at = i * manifest_.chunk_bytes;
      read_chunk(file, *tensor, i, at,
                 bytes.subspan(at, std::min(manifest_.chunk_bytes, bytes.size() - at)));
    }
  });
}

void Checkpoint::verify() const {
  as_checkpoint_error([&] {
    std::vector<std::byte> bytes;
    for (const StoredTensor& t : manifest_.tensors) {
      const InputFile file = directory_.open(t.file);
      for (size_t i = 0; i < t.hashes.size(); ++i) {
        const size_t at = i * manifest_.chunk_bytes;
        bytes.resize(std::min(manifest_.chunk_bytes, t.end - t.begin - at));
        read_chunk(file, t, i, at, bytes);
      }
    }
  });
}

}  // namespace birkhoff
