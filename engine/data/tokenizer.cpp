#include "engine/data/tokenizer.h"

#include "base/error.h"

namespace birkhoff {

void ByteTokenizer::encode(std::string_view text, std::vector<int32_t>& ids) const {
  const size_t before = ids.size();
  ids.resize(before + text.size());
  for (size_t i = 0; i < text.size(); ++i) ids[before + i] = static_cast<unsigned char>(text[i]);
}

std::string ByteTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  text.reserve(ids.size());
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab())
      throw DataError(
          fmt::format("id {} is outside the {} ids of the byte tokenizer; use the tokenizer that "
                      "the data was prepared with",
                      id, vocab()));
    if (id != end_of_document()) text += char(id);
  }
  return text;
}

std::unique_ptr<Tokenizer> make_tokenizer(std::string_view name) {
  if (name == "byte") return std::make_unique<ByteTokenizer>();
  throw ConfigError(
      fmt::format("unknown built-in tokenizer '{}'; use 'byte', or scripts/tokenize.py, which "
                  "prepares data with any tokenizer.json",
                  printable(name)));
}

int64_t text_bytes(const Tokenizer& tokenizer, std::span<const int32_t> targets) {
  std::vector<int32_t> text;
  text.reserve(targets.size());
  for (const int32_t id : targets)
    if (id >= 0) text.push_back(id);
  return int64_t(tokenizer.decode(text).size());
}

}  // namespace birkhoff
