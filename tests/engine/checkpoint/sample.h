#pragma once
// A small checkpoint with every dtype, an empty tensor and ragged sizes.
#include <deque>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

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
