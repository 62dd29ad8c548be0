#include <algorithm>

#include "engine/checkpoint/tokenizer_file.h"
#include "engine/checkpoint/tokenizer_identity.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

using nlohmann::json;

// The number of ids, from a tree of the text: 1 + the largest.
int64_t ids_of(const json& tree) {
  int64_t count = 0;
  const auto take = [&](const json& id) { count = std::max(count, id.get<int64_t>() + 1); };
  if (const auto added = tree.find("added_tokens"); added != tree.end() && added->is_array())
    for (const json& token : *added)
      if (token.is_object() && token.contains("id")) take(token["id"]);
  const auto model = tree.find("model");
  if (model == tree.end() || !model->is_object() || !model->contains("vocab")) return count;
  const json& vocab = (*model)["vocab"];
  if (vocab.is_object())
    for (const auto& [token, id] : vocab.items()) take(id);
  if (vocab.is_array())
    count = std::max(count, std::count_if(vocab.begin(), vocab.end(),
                                          [](const json& entry) { return entry.is_array(); }));
  return count;
}

}  // namespace

bool tokenizer(std::string_view bytes) {
  int64_t vocab = 0;
  if (!accepts<JsonError>([&] { vocab = tokenizer_vocab(bytes); })) return false;
  require(vocab >= 1 && vocab <= INT32_MAX, "{} ids", vocab);
  try {  // a tree has each key once
    const json tree = parse_json(bytes, {.bytes = kMaxTokenizer, .depth = 64});
    require(ids_of(tree) == vocab, "{} ids, {} by a slow reading", vocab, ids_of(tree));
  } catch (const JsonError&) {
    require(json::accept(bytes), "accepted, though it is not JSON");
  }
  return true;
}

}  // namespace birkhoff::fuzz
