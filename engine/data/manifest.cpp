#include "engine/data/manifest.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "engine/checkpoint/json.h"

namespace birkhoff {
namespace {

using Json = nlohmann::json;

constexpr size_t kLimit = 1 << 16;  // a manifest has about 400 bytes
constexpr int64_t kVersion = 1;

class Fields {
 public:
  Fields(const Json& object, const Path& path, std::string where)
      : object_(object), path_(path), where_(std::move(where)) {
    if (!object.is_object()) fail("must be an object");
  }

  bool has(const char* key) const { return object_.contains(key); }

  const Json& at(const char* key) const {
    const auto it = object_.find(key);
    if (it == object_.end()) fail(fmt::format("has no \"{}\"", key));
    return *it;
  }

  int64_t number(const char* key) const {
    const Json& value = at(key);
    if (!value.is_number_unsigned() ||
        value.get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max()))
      fail(fmt::format("\"{}\" must be a non-negative whole number", key));
    return value.get<int64_t>();
  }

  std::string text(const char* key) const {
    const Json& value = at(key);
    if (!value.is_string()) fail(fmt::format("\"{}\" must be a string", key));
    return value.get<std::string>();
  }

  std::string hash(const char* key) const {
    std::string value = text(key);
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (value.size() != 32 || !std::all_of(value.begin(), value.end(), is_hex))
      fail(fmt::format("\"{}\" must be 32 lower-case hexadecimal digits", key));
    return value;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(fmt::format("{}: {} {}; prepare the dataset again, or remove this file",
                                printable(path_.string()), where_, what));
  }

 private:
  const Json& object_;
  const Path& path_;
  std::string where_;
};

}  // namespace

DatasetManifest parse_dataset_manifest(std::string_view text, const Path& path) {
  Json root;
  try {
    root = parse_json(text, {.bytes = kLimit, .depth = 8});
  } catch (const JsonError& error) {
    throw DataError(
        fmt::format("{}: the manifest {}; prepare the dataset again, or remove this file",
                    printable(path.string()), error.what()));
  }
  const Fields all(root, path, "the manifest");
  if (const int64_t version = all.number("format_version"); version != kVersion)
    all.fail(fmt::format("has format_version {}, but this version of birkhoff reads {}", version,
                         kVersion));
  const Fields tokenizer(all.at("tokenizer"), path, "the manifest's tokenizer");
  DatasetManifest manifest{
      .tokenizer = {.name = tokenizer.text("name"),
                    .vocab = tokenizer.number("vocab"),
                    .end_of_document = tokenizer.number("end_of_document"),
                    .hash = tokenizer.has("xxh3_128") ? tokenizer.hash("xxh3_128") : ""},
      .tokens = all.number("tokens"),
      .documents = all.number("documents"),
      .bytes = all.number("bytes")};
  if (all.has("xxh3_128")) {
    const Fields hashes(all.at("xxh3_128"), path, "the manifest's xxh3_128");
    manifest.bin_hash = hashes.hash("bin");
    manifest.idx_hash = hashes.hash("idx");
  }
  return manifest;
}

std::optional<DatasetManifest> read_dataset_manifest(const Path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::nullopt;
  try {
    return parse_dataset_manifest(read_file(path, kLimit), path);
  } catch (const ResourceError& e) {
    throw DataError(fmt::format("cannot read the manifest: {}", e.what()));
  }
}

std::string to_json(const DatasetManifest& manifest) {
  nlohmann::ordered_json root = {{"format_version", kVersion},
                                 {"tokenizer",
                                  {{"name", manifest.tokenizer.name},
                                   {"vocab", manifest.tokenizer.vocab},
                                   {"end_of_document", manifest.tokenizer.end_of_document}}},
                                 {"tokens", manifest.tokens},
                                 {"documents", manifest.documents},
                                 {"bytes", manifest.bytes}};
  if (!manifest.tokenizer.hash.empty()) root["tokenizer"]["xxh3_128"] = manifest.tokenizer.hash;
  if (!manifest.bin_hash.empty())
    root["xxh3_128"] = {{"bin", manifest.bin_hash}, {"idx", manifest.idx_hash}};
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace birkhoff
