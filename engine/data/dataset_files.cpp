#include "engine/data/dataset_files.h"

#include <algorithm>

#include "base/directory.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/temporary.h"
#include "engine/checkpoint/tokenizer_identity.h"
#include "engine/data/manifest.h"
#include "engine/data/token_format.h"

namespace birkhoff {
namespace {

bool is_there(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
}

std::string shown(const Path& path) { return printable(path.string()); }

void refuse_inputs(const Path& output, std::span<const FileId> inputs) {
  for (const Path& path : {output, temporary_path(output)}) {
    const std::optional<FileId> id = file_id(path);
    if (id && std::find(inputs.begin(), inputs.end(), *id) != inputs.end())
      throw DataError(fmt::format("{} is an input file and would be replaced; choose another --out",
                                  shown(path)));
  }
}

bool is_index(const Path& path) {
  try {
    const InputFile file(path);
    std::string head(kIndexMagic.size(), '\0');
    if (file.size() < head.size()) return false;
    file.read(0, std::as_writable_bytes(std::span(head)));
    return head == kIndexMagic;
  } catch (const ResourceError&) {
    return false;
  }
}

bool is_manifest(const Path& path) {
  try {
    return read_dataset_manifest(path).has_value();
  } catch (const DataError&) {
    return false;
  }
}

// Whether PREFIX.tokenizer.json has the hash in the manifest of PREFIX.
bool is_noted_tokenizer(const Path& prefix) {
  try {
    const auto manifest = read_dataset_manifest(manifest_path(prefix));
    if (!manifest || manifest->tokenizer.hash.empty()) return false;
    const std::string text = read_file(tokenizer_path(prefix), kMaxTokenizer);
    return hash128(std::as_bytes(std::span(text))) == manifest->tokenizer.hash;
  } catch (const Error&) {
    return false;
  }
}

// Throws unless everything that exists belongs to an earlier dataset.
void require_dataset(const Path& prefix, std::span<const Path> files) {
  const auto foreign = [&](const Path& path, const char* what) {
    throw DataError(fmt::format(
        "{} exists and is not {}, so it is not replaced; choose another --out, or move it away",
        shown(path), what));
  };
  const Path idx = idx_path(prefix), manifest = manifest_path(prefix);
  for (const Path& path : files) {
    std::error_code error;
    if (is_there(path) &&
        !std::filesystem::is_regular_file(std::filesystem::symlink_status(path, error)))
      foreign(path, "a regular file");
  }
  if (is_there(idx) && !is_index(idx)) foreign(idx, "the index of a dataset");
  if (is_there(manifest) && !is_manifest(manifest)) foreign(manifest, "the manifest of a dataset");
  if (const Path tokenizer = tokenizer_path(prefix);
      is_there(tokenizer) && !is_noted_tokenizer(prefix))
    foreign(tokenizer, "the tokenizer of an existing dataset");
  if (is_there(idx) || is_there(manifest)) return;
  for (const Path& path : files)
    if (is_there(path))
      foreign(path, "part of a dataset (there is no index or manifest beside it)");
}

}  // namespace

std::vector<Path> dataset_files(const Path& prefix) {
  return {idx_path(prefix), bin_path(prefix), manifest_path(prefix), tokenizer_path(prefix)};
}

void check_dataset_outputs(const Path& prefix, std::span<const Path> inputs, bool overwrite) {
  if (!prefix.has_filename())
    throw DataError(fmt::format("'{}' is a directory; add a name for the dataset", shown(prefix)));
  const std::vector<FileId> ids = file_ids(inputs);
  const std::vector<Path> files = dataset_files(prefix);
  for (const Path& path : files) refuse_inputs(path, ids);
  if (overwrite) return require_dataset(prefix, files);
  for (const Path& path : files)
    if (is_there(path))
      throw DataError(fmt::format(
          "{} exists; choose another --out, or replace the dataset with --overwrite", shown(path)));
}

}  // namespace birkhoff
