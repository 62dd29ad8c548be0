#include "engine/checkpoint/tokenizer_file.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/checkpoint/json.h"
#include "engine/checkpoint/tokenizer_identity.h"

namespace birkhoff {
namespace {

using nlohmann::json;

constexpr size_t kDepth = 64;
constexpr int64_t kMaxId = INT32_MAX - 1;

// Follows the parser through the text. A level is an open object or array.
class Walk : public nlohmann::json_sax<json> {
 public:
  int64_t vocab() const { return largest_ + 1; }

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_float(number_float_t, const string_t&) override { return other(); }
  bool string(string_t&) override { return other(); }
  bool binary(binary_t&) override { return other(); }
  bool number_integer(number_integer_t value) override { return at_id() ? take(value) : other(); }
  bool number_unsigned(number_unsigned_t value) override {
    return at_id() ? take(int64_t(std::min<uint64_t>(value, INT64_MAX))) : other();
  }

  bool key(string_t& name) override {
    // Keeps the names in the few objects that are inspected; others need no memory.
    Level& level = levels_.back();
    level.key = levels_.size() <= 3 ? name.substr(0, 32) : std::string();
    const bool vocab = levels_.size() == 2 && is(0, "model") && level.key == "vocab";
    const bool top = levels_.size() == 1 && (level.key == "model" || level.key == "added_tokens");
    if (!vocab && !top) return true;
    bool& seen = vocab ? seen_vocab_ : level.key == "model" ? seen_model_ : seen_added_;
    if (seen) throw JsonError(fmt::format("has the key '{}' twice", level.key));
    return seen = true;
  }

  bool start_object(size_t) override { return open(true); }
  bool start_array(size_t) override {
    // Unigram: a list of [token, score]; the position in the list is the id.
    if (levels_.size() == 3 && in_vocab() && !levels_[2].is_object) take(levels_[2].elements++);
    return open(false);
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    throw JsonError(fmt::format("is not valid JSON: {}", printable(e.what())));
  }

 private:
  struct Level {
    bool is_object;
    std::string key = {};  // the current key
    int64_t elements = 0;  // counted in a vocabulary that is a list
  };

  bool is(size_t level, std::string_view key) const {
    return levels_[level].is_object && levels_[level].key == key;
  }
  bool in_vocab() const { return is(0, "model") && is(1, "vocab"); }
  // Whether the current value must be an id: model.vocab.<token>, added_tokens[i].id.
  bool at_id() const {
    return levels_.size() == 3 && ((in_vocab() && levels_[2].is_object) ||
                                   (is(0, "added_tokens") && !levels_[1].is_object && is(2, "id")));
  }

  bool take(int64_t id) {
    if (id < 0 || id > kMaxId)
      throw JsonError(
          fmt::format("has the token id {}, which is not between 0 and {}", id, kMaxId));
    largest_ = std::max(largest_, id);
    return true;
  }
  bool other() const {
    if (levels_.empty()) throw JsonError("is not an object");
    if (at_id()) throw JsonError("has a token id that is not an integer");
    return true;
  }
  bool open(bool is_object) {
    if (levels_.empty() && !is_object) throw JsonError("is not an object");
    if (at_id()) throw JsonError("has a token id that is not an integer");
    if (levels_.size() >= kDepth)
      throw JsonError(fmt::format("is nested deeper than {} levels", kDepth));
    levels_.push_back({is_object});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  std::vector<Level> levels_;
  int64_t largest_ = -1;
  bool seen_model_ = false, seen_vocab_ = false, seen_added_ = false;
};

}  // namespace

int64_t tokenizer_vocab(std::string_view text) {
  if (text.size() > kMaxTokenizer)
    throw JsonError(
        fmt::format("has {} bytes, more than the {} allowed", text.size(), kMaxTokenizer));
  refuse_nul(text);
  Walk walk;
  json::sax_parse(text.begin(), text.end(), &walk);
  if (walk.vocab() == 0) throw JsonError("has no vocabulary, so it is not a tokenizer.json");
  return walk.vocab();
}

}  // namespace birkhoff
