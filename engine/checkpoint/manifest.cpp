#include "engine/checkpoint/manifest.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "engine/checkpoint/cover.h"
#include "engine/checkpoint/json.h"
#include "engine/checkpoint/stored.h"

namespace birkhoff {
namespace {

using nlohmann::json;

constexpr std::string_view kHashKey = "manifest_hash";

std::string fingerprint_text(std::string_view text) {
  return fmt::format(R"({{"text": {}, "hash": "{}"}})", json_string(text), hash_of(utf8(text)));
}

std::string parse_fingerprint(const json& value, const std::string& where) {
  JsonFields fields(value, where);
  std::string text = fields.text("text");
  if (fields.text("hash") != hash_of(text))
    throw JsonError(fmt::format("{}.text does not match {}.hash", where, where));
  fields.done();
  return text;
}

CheckpointInfo parse_info(JsonFields& top, bool has_tokenizer) {
  CheckpointInfo info;
  info.step = int64_t(top.count("step"));
  info.tokens = int64_t(top.count("tokens"));
  info.seed = top.count("seed", UINT64_MAX);
  info.model = parse_fingerprint(top.at("model"), "model");
  info.data = parse_fingerprint(top.at("data"), "data");
  if (has_tokenizer) info.tokenizer = parse_identity(top.at("tokenizer"), "tokenizer");
  info.config = top.text("config");
  const json& state = top.at("state");
  if (!state.is_object()) throw JsonError("state is not an object");
  for (const auto& [key, value] : state.items()) {
    if (!value.is_string())
      throw JsonError(fmt::format("state.{} is not a string", printable(key)));
    info.state.emplace(key, value.get<std::string>());
  }
  return info;
}

template <class T>
std::string order_fault(const std::vector<T>& list, std::string_view what) {
  for (size_t i = 1; i < list.size(); ++i) {
    if (!(list[i - 1].name < list[i].name))
      return fmt::format("{}[{}] '{}' is out of order or a duplicate", what, i, list[i].name);
  }
  return {};
}

// What is wrong with a piece by itself.
std::string piece_fault(const StoredTensor& t, const StoredPiece& p, size_t chunk_bytes) {
  if (!lies_in(p.slice, t.spec.shape)) return "does not lie within the tensor";
  if (p.end < p.begin || p.end - p.begin != size_t(p.slice.count()) * size_of(t.spec.dtype))
    return fmt::format("bytes {} to {} do not hold it", p.begin, p.end);
  const size_t bytes = p.end - p.begin;
  if (p.hashes.size() != bytes / chunk_bytes + (bytes % chunk_bytes != 0))
    return fmt::format("has {} hashes, which do not match its {} bytes", p.hashes.size(), bytes);
  return {};
}

std::string tensor_fault(const StoredTensor& t, size_t chunk_bytes) {
  const auto at = [&](size_t i, std::string_view what) {
    return fmt::format("tensor {} {}: pieces[{}] {}", t.name, to_string(t.spec), i, what);
  };
  if (t.pieces.size() > kMaxPieces)
    return fmt::format("tensor {} has {} pieces, more than {}", t.name, t.pieces.size(),
                       kMaxPieces);
  for (size_t i = 0; i < t.pieces.size(); ++i) {
    if (const std::string fault = piece_fault(t, t.pieces[i], chunk_bytes); !fault.empty())
      return at(i, fault);
    if (i > 0 && !slice_before(t.pieces[i - 1].slice, t.pieces[i].slice))
      return at(i, "is out of order or a duplicate");
  }
  if (const std::string fault = cover_fault(t.spec.shape, t.pieces); !fault.empty())
    return fmt::format("tensor {} {}: {}", t.name, to_string(t.spec), fault);
  return {};
}

struct Part {  // of a file
  size_t begin, end;
  std::string_view tensor;
};

// Checks that pieces fill the file from its header to its end, without gaps.
std::string file_fault(const ShardFile& file, std::vector<Part>& parts) {
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.begin < b.begin; });
  size_t at = file.header_bytes;
  for (const Part& part : parts) {
    if (part.begin != at)
      return fmt::format("file {}: tensor {} starts at byte {} instead of {}", file.name,
                         part.tensor, part.begin, at);
    at = part.end;
  }
  if (at != file.bytes)
    return fmt::format("file {} has {} bytes, but its tensors end at {}", file.name, file.bytes,
                       at);
  return {};
}

std::string files_fault(const Manifest& m) {
  std::map<std::string_view, std::vector<Part>> parts;
  for (const ShardFile& file : m.files) parts[file.name];
  for (const StoredTensor& t : m.tensors) {
    for (const StoredPiece& p : t.pieces) {
      const auto found = parts.find(p.file);
      if (found == parts.end())
        return fmt::format("tensor {} is in file '{}', which is not listed", t.name, p.file);
      found->second.push_back({p.begin, p.end, t.name});
    }
  }
  for (const ShardFile& file : m.files) {
    if (std::string fault = file_fault(file, parts[file.name]); !fault.empty()) return fault;
  }
  return {};
}

Manifest parse(std::string_view text) {
  if (text.size() > kMaxManifest) throw JsonError("is too long");
  Manifest m;
  m.hash = check_hash(text, kHashKey);
  const json tree = parse_json(text, {.bytes = kMaxManifest, .depth = 8});
  JsonFields top(tree, "manifest");
  const uint64_t version = top.count("format_version");
  if (version != kCheckpointFormat && version != kOldCheckpointFormat)
    throw JsonError(
        fmt::format("has format_version {}, but this version of birkhoff only reads {} and {}",
                    version, kOldCheckpointFormat, kCheckpointFormat));
  m.info = parse_info(top, version == kCheckpointFormat);
  m.chunk_bytes = top.count("chunk_bytes", kMaxHashChunk);
  if (m.chunk_bytes == 0) throw JsonError("chunk_bytes is 0");
  m.files = parse_files(top);
  m.tensors = parse_tensors(top);
  top.text(std::string(kHashKey));
  top.done();
  if (const std::string fault = manifest_fault(m); !fault.empty()) throw JsonError(fault);
  return m;
}

}  // namespace

bool slice_before(const Slice& a, const Slice& b) {
  return std::tie(a.box.begin, a.box.end, a.begin) < std::tie(b.box.begin, b.box.end, b.begin);
}

TensorSpec entry_spec(const TensorSpec& whole, const Slice& slice) {
  return {is_whole(slice) ? extents(slice.box) : Shape{slice.count()}, whole.dtype};
}

std::string shard_name(int rank, int part) {
  check(rank >= 0 && rank < 10000 && part >= 0 && part < 10000, "shard {} of rank {}", part, rank);
  return fmt::format("rank-{:04d}-part-{:04d}.safetensors", rank, part);
}

bool is_shard_name(std::string_view name) {
  constexpr std::string_view kGrammar = "rank-0000-part-0000.safetensors";  // 0: any digit
  return std::equal(name.begin(), name.end(), kGrammar.begin(), kGrammar.end(),
                    [](char c, char g) { return g == '0' ? c >= '0' && c <= '9' : c == g; });
}

std::string manifest_fault(const Manifest& m) {
  std::string fault = order_fault(m.files, "files");
  if (fault.empty()) fault = order_fault(m.tensors, "tensors");
  for (size_t i = 0; fault.empty() && i < m.tensors.size(); ++i)
    fault = tensor_fault(m.tensors[i], m.chunk_bytes);
  return fault.empty() ? files_fault(m) : fault;
}

std::string manifest_text(const Manifest& m) {
  std::string state;
  for (const auto& [key, value] : m.info.state)
    state +=
        fmt::format("{}{}: {}", state.empty() ? "" : ", ", json_string(key), json_string(value));
  return with_hash(
      fmt::format("{{\n\"format_version\": {},\n\"step\": {},\n\"tokens\": {},\n\"seed\": {},\n"
                  "\"model\": {},\n\"data\": {},\n\"tokenizer\": {},\n\"config\": {},\n"
                  "\"state\": {{{}}},\n\"chunk_bytes\": {},\n{}",
                  kCheckpointFormat, m.info.step, m.info.tokens, m.info.seed,
                  fingerprint_text(m.info.model), fingerprint_text(m.info.data),
                  identity_text(m.info.tokenizer), json_string(m.info.config), state, m.chunk_bytes,
                  stored_text(m.files, m.tensors)),
      kHashKey);
}

std::string manifest_hash(std::string_view text) { return check_hash(text, kHashKey); }

Manifest parse_manifest(std::string_view text, std::string_view place) {
  try {
    return parse(text);
  } catch (const JsonError& e) {
    throw CheckpointError(fmt::format("{}: {}", printable(place), e.what()));
  }
}

}  // namespace birkhoff
