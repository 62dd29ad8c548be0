#include "engine/checkpoint/stored.h"

#include <span>
#include <tuple>

#include "base/error.h"
#include "base/hash.h"
#include "engine/checkpoint/safetensors.h"

namespace birkhoff {
namespace {

using nlohmann::json;

constexpr std::string_view kTailEnd = "\"\n}\n";
constexpr size_t kHashDigits = 32;

ShardFile parse_file(const json& value, const std::string& where) {
  JsonFields fields(value, where);
  ShardFile file;
  file.name = fields.text("name");
  file.bytes = fields.count("bytes");
  file.header_bytes = fields.count("header_bytes", kMaxSafetensorsHeader + 8);
  file.header_hash = fields.text("header_hash");
  fields.done();
  if (!is_shard_name(file.name))
    throw JsonError(
        fmt::format("{}.name '{}' is not a valid shard name", where, printable(file.name)));
  if (!is_hash(file.header_hash))
    throw JsonError(fmt::format("{}.header_hash is not a hash", where));
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
      throw JsonError(fmt::format("{}.shape is negative or too large", fields.where()));
    spec.shape.push_back(int64_t(dim.get<uint64_t>()));
  }
  return spec;
}

// Parses [begin, end], any two integers from 0 to INT64_MAX.
std::pair<int64_t, int64_t> parse_range(const json& value, std::string_view where,
                                        std::string_view what) {
  const auto number = [](const json& v) {
    return v.is_number_unsigned() && v.get<uint64_t>() <= uint64_t(INT64_MAX);
  };
  if (!value.is_array() || value.size() != 2 || !number(value[0]) || !number(value[1]))
    throw JsonError(fmt::format("{}.{} is not a pair of counts", where, what));
  return {value[0].get<int64_t>(), value[1].get<int64_t>()};
}

StoredPiece parse_piece(const json& value, const std::string& where) {
  JsonFields fields(value, where);
  StoredPiece piece;
  const json& box = fields.array("box");
  if (box.size() > kMaxTensorDims) throw JsonError(fmt::format("{}.box has too many dims", where));
  for (const json& dim : box) {
    const auto [begin, end] = parse_range(dim, where, "box");
    piece.slice.box.begin.push_back(begin);
    piece.slice.box.end.push_back(end);
  }
  std::tie(piece.slice.begin, piece.slice.end) = parse_range(fields.at("flat"), where, "flat");
  piece.file = fields.text("file");
  if (!is_shard_name(piece.file))
    throw JsonError(
        fmt::format("{}.file '{}' is not a valid shard name", where, printable(piece.file)));
  std::tie(piece.begin, piece.end) = parse_range(fields.at("range"), where, "range");
  for (const json& hash : fields.array("hashes")) {
    if (!hash.is_string() || !is_hash(hash.get_ref<const std::string&>()))
      throw JsonError(fmt::format("{}.hashes has an entry that is not a hash", where));
    piece.hashes.push_back(hash.get<std::string>());
  }
  fields.done();
  return piece;
}

StoredTensor parse_tensor(const json& value, const std::string& where) {
  JsonFields fields(value, where);
  StoredTensor t;
  t.name = fields.text("name");
  if (!is_tensor_name(t.name))
    throw JsonError(
        fmt::format("{}.name '{}' is not a valid tensor name", where, printable(t.name)));
  t.spec = parse_spec(fields);
  for (const json& piece : fields.array("pieces"))
    t.pieces.push_back(parse_piece(piece, fmt::format("{}.pieces[{}]", where, t.pieces.size())));
  fields.done();
  return t;
}

std::string piece_text(const StoredPiece& p) {
  std::string text = "{\"box\": [";
  for (size_t d = 0; d < p.slice.box.begin.size(); ++d)
    text += fmt::format("{}[{}, {}]", d ? ", " : "", p.slice.box.begin[d], p.slice.box.end[d]);
  text += fmt::format("], \"flat\": [{}, {}], \"file\": \"{}\", \"range\": [{}, {}], \"hashes\": [",
                      p.slice.begin, p.slice.end, p.file, p.begin, p.end);
  for (const std::string& hash : p.hashes)
    text += fmt::format("{}\"{}\"", &hash == p.hashes.data() ? "" : ", ", hash);
  return text + "]}";
}

}  // namespace

std::string hash_of(std::string_view text) { return hash128(std::as_bytes(std::span(text))); }

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string stored_text(const std::vector<ShardFile>& files,
                        const std::vector<StoredTensor>& tensors) {
  std::string text = "\"files\": [";
  for (const ShardFile& f : files)
    text += fmt::format(
        "{}\n  {{\"name\": \"{}\", \"bytes\": {}, \"header_bytes\": {}, \"header_hash\": \"{}\"}}",
        &f == files.data() ? "" : ",", f.name, f.bytes, f.header_bytes, f.header_hash);
  text += "\n],\n\"tensors\": [";
  for (const StoredTensor& t : tensors) {
    text +=
        fmt::format("{}\n  {{\"name\": \"{}\", \"dtype\": \"{}\", \"shape\": [{}], \"pieces\": [",
                    &t == tensors.data() ? "" : ",", t.name, name_of(t.spec.dtype),
                    fmt::join(t.spec.shape, ", "));
    for (const StoredPiece& p : t.pieces)
      text += fmt::format("{}\n    {}", &p == t.pieces.data() ? "" : ",", piece_text(p));
    text += "]}";
  }
  return text + "\n],\n";
}

std::vector<ShardFile> parse_files(JsonFields& top) {
  std::vector<ShardFile> files;
  for (const json& file : top.array("files"))
    files.push_back(parse_file(file, fmt::format("files[{}]", files.size())));
  return files;
}

std::vector<StoredTensor> parse_tensors(JsonFields& top) {
  std::vector<StoredTensor> tensors;
  for (const json& tensor : top.array("tensors"))
    tensors.push_back(parse_tensor(tensor, fmt::format("tensors[{}]", tensors.size())));
  return tensors;
}

std::string with_hash(const std::string& text, std::string_view key) {
  return fmt::format("{}\"{}\": \"{}{}", text, key, hash_of(text), kTailEnd);
}

std::string check_hash(std::string_view text, std::string_view key) {
  const std::string start = fmt::format("\"{}\": \"", key);
  const size_t bytes = start.size() + kHashDigits + kTailEnd.size();
  if (text.size() < bytes) throw JsonError("is cut short");
  const std::string_view body = text.substr(0, text.size() - bytes);
  const std::string_view tail = text.substr(body.size());
  if (!tail.starts_with(start) || !tail.ends_with(kTailEnd))
    throw JsonError("does not end with its hash");
  const std::string_view hash = tail.substr(start.size(), kHashDigits);
  if (hash != hash_of(body))
    throw JsonError("does not match its hash: it was changed or cut short after it was written");
  return std::string(hash);
}

}  // namespace birkhoff
