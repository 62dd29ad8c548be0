#pragma once
// Converts text to token ids and back. Implementations are immutable, so thread-safe.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::string_view name() const = 0;
  virtual int32_t vocab() const = 0;            // ids are in [0, vocab)
  virtual int32_t end_of_document() const = 0;  // the id that ends each document

  // Appends the ids of `text`: any bytes, valid UTF-8 or not. Never appends end_of_document.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) const = 0;
  // The text of `ids`; end_of_document adds none. Throws DataError on an id outside [0, vocab).
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
};

// The built-in tokenizer "byte": ids 0 to 255 are bytes, 256 ends a document, 257 in all.
class ByteTokenizer final : public Tokenizer {
 public:
  std::string_view name() const override { return "byte"; }
  int32_t vocab() const override { return 257; }
  int32_t end_of_document() const override { return 256; }
  void encode(std::string_view text, std::vector<int32_t>& ids) const override;
  std::string decode(std::span<const int32_t> ids) const override;
};

// The built-in tokenizer of that name. Throws ConfigError with the existing names.
std::unique_ptr<Tokenizer> make_tokenizer(std::string_view name);

// Bytes of text that the counted targets stand for: targets that are not −1 (not counted) and not
// end_of_document. Bits per byte of an evaluation = Σ loss [nats] / (ln 2 · Σ text_bytes).
int64_t text_bytes(const Tokenizer& tokenizer, std::span<const int32_t> targets);

}  // namespace birkhoff
