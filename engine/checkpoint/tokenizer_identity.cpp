#include "engine/checkpoint/tokenizer_identity.h"

#include <algorithm>

#include "base/error.h"
#include "engine/checkpoint/stored.h"
#include "engine/checkpoint/tokenizer_file.h"

namespace birkhoff {
namespace {

using nlohmann::json;

constexpr size_t kMaxIds = 64;
constexpr std::string_view kByte = "byte";

int64_t parse_id(const json& value, const std::string& where) {
  const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t(INT64_MAX)
                                               : value.is_number_integer();
  if (!fits || value.get<int64_t>() < -1)
    throw JsonError(fmt::format("{} is not a token id, a list of ids or null", where));
  return value.get<int64_t>();
}

}  // namespace

bool TokenIds::contains(int64_t id) const {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

TokenIds parse_token_ids(const json& value, const std::string& where) {
  TokenIds parsed;
  if (value.is_null()) return parsed;
  parsed.is_list = value.is_array();
  if (!parsed.is_list) {
    parsed.ids = {parse_id(value, where)};
    return parsed;
  }
  if (value.size() > kMaxIds)
    throw JsonError(fmt::format("{} has {} ids, more than {}", where, value.size(), kMaxIds));
  for (const json& id : value) parsed.ids.push_back(parse_id(id, where));
  return parsed;
}

json to_json(const TokenIds& ids) {
  if (ids.is_list) return ids.ids;
  return ids.ids.empty() ? json() : json(ids.ids[0]);
}

TokenizerIdentity byte_identity() {
  return {.name = std::string(kByte), .vocab = 257, .special = {.eos = {.ids = {256}}}};
}

bool is_byte(const TokenizerIdentity& identity) {
  return identity.name == kByte && identity.vocab == 257 && !identity.has_file() &&
         identity.special.eos.contains(256);
}

TokenizerIdentity identity_of_file(std::string_view text, std::string name) {
  return {.name = std::move(name),
          .vocab = tokenizer_vocab(text),
          .bytes = text.size(),
          .hash = hash_of(text)};
}

bool differ(const TokenizerIdentity& a, const TokenizerIdentity& b) {
  if (!a.known() || !b.known()) return false;
  if (a.has_file() && b.has_file()) return a.hash != b.hash;
  if (is_byte(a) != is_byte(b)) return true;
  if (a.vocab != b.vocab) return true;
  return !a.has_file() && !b.has_file() && a.name != b.name;
}

std::string to_string(const TokenizerIdentity& identity) {
  if (!identity.known()) return "unknown";
  std::string text = fmt::format("'{}'", printable(identity.name));
  if (is_byte(identity)) return text;
  text += fmt::format(" ({} ids", identity.vocab);
  if (identity.has_file()) text += ", xxh3-128 " + identity.hash;
  return text + ")";
}

std::string identity_text(const std::optional<TokenizerIdentity>& identity) {
  if (!identity) return "null";
  const SpecialTokens& special = identity->special;
  const std::string file = identity->has_file() ? fmt::format(R"({{"bytes": {}, "hash": "{}"}})",
                                                              identity->bytes, identity->hash)
                                                : "null";
  return fmt::format(R"({{"name": {}, "vocab": {}, "bos": {}, "eos": {}, "pad": {}, "file": {}}})",
                     json_string(identity->name), identity->vocab, to_json(special.bos).dump(),
                     to_json(special.eos).dump(), to_json(special.pad).dump(), file);
}

std::optional<TokenizerIdentity> parse_identity(const json& value, const std::string& where) {
  if (value.is_null()) return std::nullopt;
  JsonFields fields(value, where);
  TokenizerIdentity identity{.name = fields.text("name"), .vocab = int64_t(fields.count("vocab"))};
  SpecialTokens& special = identity.special;
  special.bos = parse_token_ids(fields.at("bos"), where + ".bos");
  special.eos = parse_token_ids(fields.at("eos"), where + ".eos");
  special.pad = parse_token_ids(fields.at("pad"), where + ".pad");
  if (const json& stored = fields.at("file"); !stored.is_null()) {
    JsonFields file(stored, where + ".file");
    identity.bytes = file.count("bytes", kMaxTokenizer);
    identity.hash = file.text("hash");
    file.done();
    if (!is_hash(identity.hash)) throw JsonError(fmt::format("{}.file.hash is not a hash", where));
  }
  fields.done();
  return identity;
}

}  // namespace birkhoff
