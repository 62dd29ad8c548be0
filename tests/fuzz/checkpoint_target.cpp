#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/hash.h"
#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/safetensors.h"
#include "tests/fuzz/targets.h"

namespace birkhoff::fuzz {
namespace {

// Checks in 128-bit arithmetic that the tensors, one after the other, make up the whole file.
void require_cover(const SafetensorsHeader& header, size_t file_bytes) {
  unsigned __int128 at = header.bytes;
  for (const SafetensorsEntry& e : header.tensors) {
    // For a tensor without elements, the dims before the zero may multiply to more than the file.
    const bool empty = std::ranges::find(e.spec.shape, 0) != e.spec.shape.end();
    unsigned __int128 bytes = empty ? 0 : size_of(e.spec.dtype);
    for (const int64_t dim : e.spec.shape) {
      require(dim >= 0, "{} has a negative dim", e.name);
      bytes *= uint64_t(dim);
      require(bytes <= file_bytes, "{} is larger than its file", e.name);
    }
    require(is_tensor_name(e.name), "'{}' is no name", e.name);
    require(e.begin == at && e.end == at + bytes, "{} lies at {} to {}", e.name, e.begin, e.end);
    at += bytes;
  }
  require(at == file_bytes, "the tensors do not cover the file");
}

// The header as our writer writes it, in order of name.
SafetensorsHeader rewritten(const SafetensorsHeader& header, size_t file_bytes) {
  std::map<std::string, TensorSpec> sorted;
  for (const SafetensorsEntry& e : header.tensors) sorted[e.name] = e.spec;
  std::vector<NamedTensor> tensors;
  for (const auto& [name, spec] : sorted) tensors.push_back({name, spec, {}});
  const std::string text = safetensors_header(tensors, header.metadata);
  const size_t bytes = file_bytes - header.bytes + text.size();
  SafetensorsHeader again = parse_safetensors(std::as_bytes(std::span(text)), bytes, "W");
  require_cover(again, bytes);
  return again;
}

// `text` with its correct hash, as an attacker would write it.
std::string forged(std::string_view text) {
  std::string body(text.substr(0, text.rfind("\"manifest_hash\"")));
  const std::string hash = hash128(std::as_bytes(std::span(body)));
  return body + "\"manifest_hash\": \"" + hash + "\"\n}\n";
}

}  // namespace

bool safetensors(std::string_view bytes) {
  uint64_t file_bytes = 0;
  if (bytes.size() < sizeof file_bytes) return false;
  std::memcpy(&file_bytes, bytes.data(), sizeof file_bytes);
  const auto start = std::as_bytes(std::span(bytes.substr(sizeof file_bytes)));
  SafetensorsHeader header;
  const bool accepted = accepts<CheckpointError>([&] {
    const size_t n = safetensors_header_bytes(start, file_bytes, "F");
    // A reader of the file would find this.
    if (n > start.size()) throw CheckpointError("F: ends in its header");
    header = parse_safetensors(start.first(n), file_bytes, "F");
  });
  if (!accepted) return false;
  require_cover(header, file_bytes);
  const SafetensorsHeader again = rewritten(header, file_bytes);
  require(again.metadata == header.metadata && again.tensors.size() == header.tensors.size(),
          "what is written is not what was read");
  return true;
}

bool manifest(std::string_view bytes) {
  const auto parse = [](std::string_view text, Manifest& into) {
    return accepts<CheckpointError>([&] { into = parse_manifest(text, "M"); });
  };
  Manifest as_it_is, read;
  const std::string right = forged(bytes);
  const bool accepted = parse(right, read);
  require(!parse(bytes, as_it_is) || bytes == right, "accepted with a hash that is not its own");
  if (!accepted) return false;
  if (const auto& tokenizer = read.info.tokenizer) {
    require(tokenizer->bytes <= kMaxTokenizer, "a tokenizer of {} bytes", tokenizer->bytes);
    require(tokenizer->has_file() || tokenizer->bytes == 0, "bytes of no file");
    require_message(to_string(*tokenizer));
    require(!differ(*tokenizer, *tokenizer), "it differs from itself");
  }
  const std::string text = manifest_text(read);
  require(manifest_text(parse_manifest(text, "W")) == text, "written twice, it differs:\n{}", text);
  return true;
}

}  // namespace birkhoff::fuzz
