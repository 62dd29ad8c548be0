#pragma once
// Which tokenizer the token ids of a dataset, a checkpoint or a model belong to. The identity is
// passed on from the dataset to the checkpoint and the exported model, with the tokenizer.json
// itself if there is one. Thread-safe: no state.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/json.h"

namespace birkhoff {

inline constexpr std::string_view kTokenizerName = "tokenizer.json";
inline constexpr size_t kMaxTokenizer = size_t(64) << 20;  // bytes; the largest known has 34 MB

// The token ids in one field of a Hugging Face config: none, one id, or a list of ids. Both forms
// are kept, so that a config that is read and written again says the same.
struct TokenIds {
  std::vector<int64_t> ids = {};
  bool is_list = false;

  bool known() const { return is_list || !ids.empty(); }
  bool contains(int64_t id) const;
  bool operator==(const TokenIds&) const = default;
};

// Throws JsonError, naming `where`, unless it is null, an integer of at least -1 (transformers' "no
// such token"), or a list of at most 64 such integers.
TokenIds parse_token_ids(const nlohmann::json& value, const std::string& where);
nlohmann::json to_json(const TokenIds& ids);

struct SpecialTokens {
  TokenIds bos = {}, eos = {}, pad = {};  // eos: each of these ids ends a document
  bool operator==(const SpecialTokens&) const = default;
};

struct TokenizerIdentity {
  std::string name = {};  // "byte", or the name of a tokenizer.json; empty: not known
  int64_t vocab = 0;      // the tokenizer's ids are in [0, vocab); 0: not known
  SpecialTokens special = {};
  // The tokenizer.json: its size, and its xxh3-128 as 32 hexadecimal digits. Empty: no file.
  size_t bytes = 0;
  std::string hash = {};

  bool known() const { return !name.empty(); }
  bool has_file() const { return !hash.empty(); }
  bool operator==(const TokenizerIdentity&) const = default;
};

// A tokenizer's identity, and its tokenizer.json if it has one. No identity: a checkpoint of format
// version 1, which does not record it.
struct ModelTokenizer {
  std::optional<TokenizerIdentity> identity = {};
  std::string json = {};
};

TokenizerIdentity byte_identity();  // of the built-in tokenizer "byte"
// Whether it is the built-in tokenizer, rather than a tokenizer.json of the same name.
bool is_byte(const TokenizerIdentity& identity);

// The identity of a tokenizer.json. Throws JsonError, in words that follow the file's path, unless
// `text` is one: at most kMaxTokenizer bytes, nested at most 64 deep, with a vocabulary of ids.
TokenizerIdentity identity_of_file(std::string_view text, std::string name);

// Whether ids of one must not be taken for ids of the other. An unknown tokenizer differs from
// none; two files are compared by their hashes, and names only where neither has a file.
bool differ(const TokenizerIdentity& a, const TokenizerIdentity& b);

// For messages: "'byte'", "'my.json' (320 ids, xxh3-128 0f…)", "not known". Printable.
std::string to_string(const TokenizerIdentity& identity);

// The JSON of an identity in a checkpoint's manifest; null: no identity.
std::string identity_text(const std::optional<TokenizerIdentity>& identity);
std::optional<TokenizerIdentity> parse_identity(const nlohmann::json& value,
                                                const std::string& where);

}  // namespace birkhoff
