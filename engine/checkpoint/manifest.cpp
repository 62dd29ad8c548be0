#include "engine/checkpoint/manifest.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/hash.h"
#include "engine/checkpoint/json.h"
#include "engine/checkpoint/safetensors.h"

namespace birkhoff {
namespace {

using nlohmann::json;

constexpr std::string_view kTailStart = "\"manifest_hash\": \"", kTailEnd = "\"\n}\n";
constexpr size_t kHashDigits = 32;
constexpr size_t kTailBytes = kTailStart.size() + kHashDigits + kTailEnd.size();

std::string hash_of(std::string_view text) { return hash128(std::as_bytes(std::span(text))); }

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string fingerprint_text(std::string_view text) {
  return fmt::format(R"({{"text": {}, "hash": "{}"}})", json_string(text), hash_of(utf8(text)));
}

// The tail's bytes are fixed but for the hash, which covers all bytes before the tail: so no byte
// of the file can change unseen.
void check_hash(std::string_view text) {
  if (text.size() < kTailBytes) throw JsonError("is cut short");
  const std::string_view body = text.substr(0, text.size() - kTailBytes);
  const std::string_view tail = text.substr(body.size());
  if (!tail.starts_with(kTailStart) || !tail.ends_with(kTailEnd))
    throw JsonError("does not end with its hash");
  if (tail.substr(kTailStart.size(), kHashDigits) != hash_of(body))
    throw JsonError("does not match its hash: it was changed or cut after it was written");
}

std::string parse_fingerprint(const json& value, const std::string& where) {
  JsonFields fields(value, where);
  const std::string text = fields.text("text");
  if (fields.text("hash") != hash_of(text))
    throw JsonError(fmt::format("{}.text does not match {}.hash", where, where));
  fields.done();
  return text;
}

CheckpointInfo parse_info(JsonFields& top) {
  CheckpointInfo info;
  info.step = int64_t(top.count("step"));
  info.tokens = int64_t(top.count("tokens"));
  info.seed = top.count("seed", UINT64_MAX);
  info.model = parse_fingerprint(top.at("model"), "model");
  info.data = parse_fingerprint(top.at("data"), "data");
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

ShardFile parse_file(const json& value, const std::string& where) {
  JsonFields fields(value, where);
  ShardFile file;
  file.name = fields.text("name");
  file.bytes = fields.count("bytes");
  file.header_bytes = fields.count("header_bytes", kMaxSafetensorsHeader + 8);
  file.header_hash = fields.text("header_hash");
  fields.done();
  if (!is_shard_name(file.name))
    throw JsonError(fmt::format("{}.name '{}' is no name of a shard", where, printable(file.name)));
  if (!is_hash(file.header_hash)) throw JsonError(fmt::format("{}.header_hash is no hash", where));
  return file;
}

TensorSpec parse_spec(JsonFields& fields) {
  TensorSpec spec;
  for (const DType t : {DType::f32, DType::bf16, DType::i32, DType::i64, DType::f64}) {
    if (name_of(t) == fields.text("dtype")) spec.dtype = t;
  }
  if (spec.dtype == DType::none)
    throw JsonError(fmt::format("{}.dtype '{}' is unknown", fields.where(),
                                printable(fields.text("dtype"), 20)));
  const json& shape = fields.array("shape");
  if (shape.size() > kMaxTensorDims)
    throw JsonError(fmt::format("{}.shape has too many dims", fields.where()));
  int64_t bytes = int64_t(size_of(spec.dtype));
  for (const json& dim : shape) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > uint64_t(INT64_MAX) ||
        __builtin_mul_overflow(bytes, int64_t(dim.get<uint64_t>()), &bytes))
      throw JsonError(fmt::format("{}.shape has no size", fields.where()));
    spec.shape.push_back(int64_t(dim.get<uint64_t>()));
  }
  return spec;
}

StoredTensor parse_tensor(const json& value, const std::string& where, size_t chunk_bytes) {
  JsonFields fields(value, where);
  StoredTensor t;
  t.name = fields.text("name");
  if (!is_tensor_name(t.name))
    throw JsonError(fmt::format("{}.name '{}' is no name of a tensor", where, printable(t.name)));
  t.spec = parse_spec(fields);
  t.file = fields.text("file");
  const json& range = fields.array("range");
  if (range.size() != 2 || !range[0].is_number_unsigned() || !range[1].is_number_unsigned())
    throw JsonError(fmt::format("{}.range is not two byte offsets", where));
  t.begin = range[0].get<size_t>(), t.end = range[1].get<size_t>();
  if (t.end < t.begin || t.end - t.begin != t.spec.bytes())
    throw JsonError(fmt::format("{}.range does not hold {}", where, to_string(t.spec)));
  for (const json& hash : fields.array("hashes")) {
    if (!hash.is_string() || !is_hash(hash.get_ref<const std::string&>()))
      throw JsonError(fmt::format("{}.hashes has an entry that is no hash", where));
    t.hashes.push_back(hash.get<std::string>());
  }
  const size_t bytes = t.end - t.begin;
  if (t.hashes.size() != bytes / chunk_bytes + (bytes % chunk_bytes != 0))
    throw JsonError(
        fmt::format("{}.hashes has {} entries for {} bytes", where, t.hashes.size(), bytes));
  fields.done();
  return t;
}

template <class T>
void check_ascending(const std::vector<T>& list, std::string_view what) {
  for (size_t i = 1; i < list.size(); ++i) {
    if (!(list[i - 1].name < list[i].name))
      throw JsonError(
          fmt::format("{}[{}] '{}' is out of order or there twice", what, i, list[i].name));
  }
}

void check_cover(const Manifest& m) {
  std::map<std::string_view, std::vector<const StoredTensor*>> by_file;
  for (const ShardFile& file : m.files) by_file[file.name];
  for (const StoredTensor& t : m.tensors) {
    const auto found = by_file.find(t.file);
    if (found == by_file.end())
      throw JsonError(
          fmt::format("tensor {} is in file '{}', not listed", t.name, printable(t.file)));
    found->second.push_back(&t);
  }
  for (const ShardFile& file : m.files) {
    auto& tensors = by_file[file.name];
    std::sort(tensors.begin(), tensors.end(), [](const auto* a, const auto* b) {
      return std::tie(a->begin, a->end) < std::tie(b->begin, b->end);
    });
    size_t at = file.header_bytes;
    for (const StoredTensor* t : tensors) {
      if (t->begin != at)
        throw JsonError(fmt::format("file {}: tensor {} starts at byte {}, not at {}", file.name,
                                    t->name, t->begin, at));
      at = t->end;
    }
    if (at != file.bytes)
      throw JsonError(
          fmt::format("file {} has {} bytes, its tensors end at {}", file.name, file.bytes, at));
  }
}

Manifest parse(std::string_view text) {
  if (text.size() > kMaxManifest) throw JsonError("is too long");
  check_hash(text);
  const json tree = parse_json(text, {.bytes = kMaxManifest, .depth = 8});
  JsonFields top(tree, "manifest");
  if (const uint64_t version = top.count("format_version"); version != kCheckpointFormat)
    throw JsonError(
        fmt::format("has format_version {}, this program reads {}", version, kCheckpointFormat));
  Manifest m;
  m.info = parse_info(top);
  m.chunk_bytes = top.count("chunk_bytes", kMaxHashChunk);
  if (m.chunk_bytes == 0) throw JsonError("chunk_bytes is 0");
  for (const json& file : top.array("files"))
    m.files.push_back(parse_file(file, fmt::format("files[{}]", m.files.size())));
  for (const json& tensor : top.array("tensors"))
    m.tensors.push_back(
        parse_tensor(tensor, fmt::format("tensors[{}]", m.tensors.size()), m.chunk_bytes));
  top.text("manifest_hash");
  top.done();
  check_ascending(m.files, "files");
  check_ascending(m.tensors, "tensors");
  check_cover(m);
  return m;
}

}  // namespace

std::string shard_name(int rank, int part) {
  check(rank >= 0 && rank < 10000 && part >= 0 && part < 10000, "shard {} of rank {}", part, rank);
  return fmt::format("rank-{:04d}-part-{:04d}.safetensors", rank, part);
}

bool is_shard_name(std::string_view name) {
  constexpr std::string_view kGrammar = "rank-0000-part-0000.safetensors";  // 0: any digit
  return std::equal(name.begin(), name.end(), kGrammar.begin(), kGrammar.end(),
                    [](char c, char g) { return g == '0' ? c >= '0' && c <= '9' : c == g; });
}

std::string manifest_text(const Manifest& m) {
  const auto object = [](const auto& map) {
    std::string s;
    for (const auto& [key, value] : map)
      s += fmt::format("{}{}: {}", s.empty() ? "" : ", ", json_string(key), json_string(value));
    return s;
  };
  std::string text = fmt::format(
      "{{\n\"format_version\": {},\n\"step\": {},\n\"tokens\": {},\n\"seed\": {},\n\"model\": {},\n"
      "\"data\": {},\n\"config\": {},\n\"state\": {{{}}},\n\"chunk_bytes\": {},\n\"files\": [",
      kCheckpointFormat, m.info.step, m.info.tokens, m.info.seed, fingerprint_text(m.info.model),
      fingerprint_text(m.info.data), json_string(m.info.config), object(m.info.state),
      m.chunk_bytes);
  for (const ShardFile& f : m.files)
    text += fmt::format(
        "{}\n  {{\"name\": \"{}\", \"bytes\": {}, \"header_bytes\": {}, \"header_hash\": \"{}\"}}",
        &f == m.files.data() ? "" : ",", f.name, f.bytes, f.header_bytes, f.header_hash);
  text += "\n],\n\"tensors\": [";
  for (const StoredTensor& t : m.tensors) {
    text += fmt::format(
        "{}\n  {{\"name\": \"{}\", \"dtype\": \"{}\", \"shape\": [{}], \"file\": \"{}\", "
        "\"range\": [{}, {}], \"hashes\": [",
        &t == m.tensors.data() ? "" : ",", t.name, name_of(t.spec.dtype),
        fmt::join(t.spec.shape, ", "), t.file, t.begin, t.end);
    for (const std::string& hash : t.hashes)
      text += fmt::format("{}\"{}\"", &hash == t.hashes.data() ? "" : ", ", hash);
    text += "]}";
  }
  text += "\n],\n";
  return fmt::format("{}{}{}{}", text, kTailStart, hash_of(text), kTailEnd);
}

Manifest parse_manifest(std::string_view text, std::string_view place) {
  try {
    return parse(text);
  } catch (const JsonError& e) {
    throw CheckpointError(fmt::format("{}: {}", printable(place), e.what()));
  }
}

}  // namespace birkhoff
