#pragma once
// A small checkpoint with every dtype, an empty tensor and ragged sizes.
#include <deque>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "tests/support/boxes.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

// The bytes of a slice of a tensor.
inline std::vector<std::byte> cut(const std::vector<std::byte>& whole, const TensorSpec& spec,
                                  const Slice& slice) {
  const size_t size = size_of(spec.dtype);
  std::vector<std::byte> bytes;
  for (const int64_t place : elements_of(slice, spec.shape)) {
    const auto* at = whole.data() + size_t(place) * size;
    bytes.insert(bytes.end(), at, at + size);
  }
  return bytes;
}

class SampleTensors {
 public:
  SampleTensors() {
    add("layers.0.w", {{3, 5}, DType::f32});
    add("layers.0.scale", {{7}, DType::bf16});
    add("layers.0.none", {{0, 4}, DType::f32});
    add("layers.1.w", {{31, 3}, DType::f32});
    add("step", {{}, DType::i64});
    add("bias", {{1}, DType::i32});
    add("sum", {{2, 1, 3}, DType::f64});
  }
  const std::vector<NamedTensor>& named() const { return named_; }

  // Three ranks: layers.1.w as two boxes of columns, one of them in flat slices; the rest shared.
  std::vector<std::vector<Piece>> ranks() {
    std::vector<std::vector<Piece>> ranks(3);
    std::vector<Piece> rest;
    for (const Piece& p : whole_pieces(named_)) {
      if (p.name != "layers.1.w") {
        rest.push_back(p);
        continue;
      }
      const std::vector<std::byte> whole(p.bytes.begin(), p.bytes.end());
      const Box left{{0, 0}, {31, 2}}, right{{0, 2}, {31, 3}};
      const Slice slices[] = {{left, 0, 23}, whole_slice(right), {left, 23, 62}};
      for (size_t r = 0; r < 3; ++r)
        ranks[r].push_back(
            {p.name, p.whole, slices[r], bytes_.emplace_back(cut(whole, p.whole, slices[r]))});
    }
    for (int r = 0; r < 3; ++r) {
      for (const Piece& p : share_of(rest, r, 3, 16)) ranks[size_t(r)].push_back(p);
    }
    return ranks;
  }

 private:
  void add(const std::string& name, const TensorSpec& spec) {
    std::vector<std::byte>& bytes = bytes_.emplace_back(spec.bytes());
    for (size_t j = 0; j < bytes.size(); ++j) bytes[j] = std::byte(bytes_.size() * 37 + j * 11);
    named_.push_back({name, spec, bytes});
  }
  std::deque<std::vector<std::byte>> bytes_;
  std::vector<NamedTensor> named_;
};

inline CheckpointInfo sample_info() {
  return {.step = 100,
          .tokens = 819200,
          .seed = UINT64_MAX,
          .model = "model.layers: 2\nmodel.width: \"3\"\n",
          .data = "tokens: 12345",
          .config = "seed: 1\n# a comment \t\\\n",
          .state = {{"data.position", "8192"}, {"loss", "0.1"}}};
}

// A tokenizer.json of 40 ids, and the identity of a model that has it.
inline std::string sample_tokenizer_json(const std::string& token = "a") {
  return R"({"added_tokens": [{"id": 39, "content": "<|end|>"}],)"
         R"( "model": {"type": "BPE", "vocab": {")" +
         token + R"(": 0, "b": 7}, "merges": []}})" + "\n";
}
inline TokenizerIdentity sample_tokenizer(const std::string& json) {
  TokenizerIdentity identity = identity_of_file(json, "my \"tokenizer\".json");
  identity.special = {.bos = {.ids = {1}}, .eos = {.ids = {39, 2}, .is_list = true}, .pad = {}};
  return identity;
}

// Saves each rank's pieces by the steps that ranks would take; indices are passed on as text.
inline std::string save_by_ranks(const Path& directory, const CheckpointInfo& info,
                                 const std::vector<std::vector<Piece>>& ranks,
                                 const SaveOptions& options = {},
                                 const std::string& tokenizer_json = "") {
  begin_checkpoint(directory);
  std::vector<ShardIndex> indices;
  for (size_t r = 0; r < ranks.size(); ++r)
    indices.push_back(
        parse_index(index_text(write_shards(directory, info.step, int(r), ranks[r], options))));
  return commit_checkpoint(directory, info, indices, tokenizer_json);
}

// The message of the CheckpointError that f throws: one line.
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const CheckpointError& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    return e.what();
  }
  return "accepted";
}

}  // namespace birkhoff::testing
