#pragma once
// A trained model that generates text: key and value caches, one program for chunks of a prompt and
// one for single tokens, over one set of parameters.
//
//   Generator g(config, team, 512);
//   load_parameters(checkpoint, g.tensors());
//   const std::vector<float> logits = g.feed(tokens);   // of the last token: what follows it
//
// Feeding token by token, or a prompt at once, leads to the same state. Not thread-safe.
#include <memory>

#include "engine/execute/executor.h"
#include "engine/model/model.h"
#include "engine/train/tensor_view.h"

namespace birkhoff {

class Generator {
 public:
  // `context`: the most tokens, prompt and answer together.
  Generator(const Config& config, ThreadTeam& team, int64_t context);

  // Parameters and balancing biases under their canonical names; load them before feed().
  std::vector<TensorView> tensors();

  int64_t length() const { return length_; }  // tokens fed so far
  int64_t context() const { return context_; }
  // Returns the logits of the last token. Throws ConfigError when the context is full, DataError on
  // a token outside the vocabulary.
  std::span<const float> feed(std::span<const int32_t> tokens);
  void restart() { length_ = 0; }

 private:
  std::span<const float> run(size_t part, const DecodeIo& io, std::span<const int32_t> tokens);

  const Config config_;
  const int64_t context_;
  int64_t length_ = 0;
  Program chunk_, single_;
  DecodeIo chunk_io_, single_io_;
  Schedule schedule_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace birkhoff
