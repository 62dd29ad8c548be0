// The writing side of checkpoint.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "base/system_error.h"
#include "engine/checkpoint/checkpoint.h"

namespace birkhoff {
namespace {

// Removes a directory that save_checkpoint began: only files that it could have written, so that a
// wrong path loses nothing. Returns false if something is left.
bool remove_partial(const Path& aside) {
  std::error_code error;
  if (!std::filesystem::is_directory(std::filesystem::symlink_status(aside, error))) return true;
  for (const std::string& name : Directory(aside).names()) {
    if (is_shard_name(name) || name == kManifestName) ::unlink((aside / name).c_str());
  }
  return ::rmdir(aside.c_str()) == 0;
}

std::vector<std::string> chunk_hashes(std::span<const std::byte> bytes, size_t chunk) {
  std::vector<std::string> hashes;
  for (size_t at = 0; at < bytes.size(); at += chunk)
    hashes.push_back(hash128(bytes.subspan(at, std::min(chunk, bytes.size() - at))));
  return hashes;
}

// Writes one shard and enters it in the manifest.
void save_shard(const Path& aside, std::span<const NamedTensor> tensors, Manifest& manifest) {
  const std::string name = shard_name(0, int(manifest.files.size()));
  const std::map<std::string, std::string> metadata = {
      {"birkhoff.step", fmt::format("{}", manifest.info.step)}};
  const std::string header = write_safetensors(aside / name, tensors, metadata);
  size_t at = header.size();
  for (const NamedTensor& t : tensors) {
    manifest.tensors.push_back({.name = t.name,
                                .spec = t.spec,
                                .file = name,
                                .begin = at,
                                .end = at + t.bytes.size(),
                                .hashes = chunk_hashes(t.bytes, manifest.chunk_bytes)});
    at += t.bytes.size();
  }
  manifest.files.push_back({.name = name,
                            .bytes = at,
                            .header_bytes = header.size(),
                            .header_hash = hash128(std::as_bytes(std::span(header)))});
}

void save_files(const Path& aside, const CheckpointInfo& info, std::span<const NamedTensor> tensors,
                const SaveOptions& options) {
  Manifest manifest{.info = info, .chunk_bytes = options.chunk_bytes};
  for (size_t begin = 0; begin < tensors.size();) {
    size_t end = begin, bytes = 0;
    while (end < tensors.size() &&
           (end == begin || bytes + tensors[end].bytes.size() <= options.shard_bytes))
      bytes += tensors[end++].bytes.size();
    save_shard(aside, tensors.subspan(begin, end - begin), manifest);
    begin = end;
  }
  const std::string text = manifest_text(manifest);
  if (text.size() > kMaxManifest)
    throw ResourceError(fmt::format("a manifest of {} bytes is more than the format allows ({})",
                                    text.size(), kMaxManifest));
  File file(aside / kManifestName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  file.write(std::as_bytes(std::span(text)));
  file.flush();
}

// Of the disk that `directory`, which may not have been made, is on.
std::string space(Path directory, std::span<const NamedTensor> tensors) {
  size_t needed = 0;
  for (const NamedTensor& t : tensors) needed += t.bytes.size();
  struct statvfs s;
  std::error_code error;
  while (!std::filesystem::exists(directory, error) && directory != "." && directory != "/")
    directory = directory.has_parent_path() ? directory.parent_path() : Path(".");
  if (::statvfs(directory.c_str(), &s) != 0) return fmt::format("{} bytes needed", needed);
  return fmt::format("{} bytes needed, {} free", needed, size_t(s.f_bavail) * s.f_frsize);
}

}  // namespace

void save_checkpoint(const Path& directory, const CheckpointInfo& info,
                     std::span<const NamedTensor> tensors, const SaveOptions& options) {
  check(info.step >= 0 && info.tokens >= 0, "a checkpoint of step {}", info.step);
  check(options.chunk_bytes > 0 && options.chunk_bytes <= kMaxHashChunk, "hashes of {} bytes",
        options.chunk_bytes);
  for (const NamedTensor& t : tensors)
    check(t.bytes.size() == t.spec.bytes(), "tensor {} has {} bytes, {} has {}", t.name,
          t.bytes.size(), to_string(t.spec), t.spec.bytes());
  std::vector<NamedTensor> sorted(tensors.begin(), tensors.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  for (size_t i = 1; i < sorted.size(); ++i)
    check(sorted[i - 1].name != sorted[i].name, "two tensors are named {}", sorted[i].name);

  const Path parent = directory.has_parent_path() ? directory.parent_path() : Path(".");
  const Path aside = parent / fmt::format(".{}.partial", directory.filename().string());
  try {
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::symlink_status(directory, error)))
      throw ResourceError("it exists already and is never overwritten");
    make_durable_directories(parent);
    if (!remove_partial(aside))
      throw_system_error("remove", aside);  // left by a run that was killed
    if (::mkdir(aside.c_str(), 0755) != 0) throw_system_error("make directory", aside);
    save_files(aside, info, sorted, options);
    flush_directory(aside);
    // Of two non-empty directories rename() refuses to replace one, so this never overwrites.
    if (::rename(aside.c_str(), directory.c_str()) != 0) throw_system_error("rename to", directory);
    flush_directory(parent);
  } catch (const ResourceError& e) {
    const std::string room = space(parent, tensors);
    try {
      remove_partial(aside);
    } catch (const ResourceError&) {  // the first error is the one to tell
    }
    throw ResourceError(fmt::format("cannot save checkpoint {}: {} ({})",
                                    printable(directory.string()), e.what(), room));
  } catch (...) {
    remove_partial(aside);
    throw;
  }
}

}  // namespace birkhoff
