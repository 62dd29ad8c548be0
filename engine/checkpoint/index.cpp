// ShardIndex (save.h) as text.
#include "base/error.h"
#include "engine/checkpoint/save.h"
#include "engine/checkpoint/stored.h"

namespace birkhoff {
namespace {

constexpr std::string_view kHashKey = "index_hash";

ShardIndex parse(std::string_view text) {
  if (text.size() > kMaxManifest) throw JsonError("is too long");
  check_hash(text, kHashKey);
  const nlohmann::json tree = parse_json(text, {.bytes = kMaxManifest, .depth = 8});
  JsonFields top(tree, "index");
  ShardIndex index;
  index.step = int64_t(top.count("step"));
  index.rank = int(top.count("rank", INT32_MAX));
  index.chunk_bytes = top.count("chunk_bytes", kMaxHashChunk);
  index.files = parse_files(top);
  index.tensors = parse_tensors(top);
  top.text(std::string(kHashKey));
  top.done();
  return index;
}

}  // namespace

std::string index_text(const ShardIndex& index) {
  return with_hash(
      fmt::format("{{\n\"step\": {},\n\"rank\": {},\n\"chunk_bytes\": {},\n{}", index.step,
                  index.rank, index.chunk_bytes, stored_text(index.files, index.tensors)),
      kHashKey);
}

ShardIndex parse_index(std::string_view text) {
  try {
    return parse(text);
  } catch (const JsonError& e) {
    throw InternalError(fmt::format("the list of what a rank has saved: {}", e.what()));
  }
}

}  // namespace birkhoff
