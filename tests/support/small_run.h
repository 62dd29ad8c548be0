#pragma once
// A small dataset and a small config in a scratch directory, for tests of the binary.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/scratch.h"
#include "tests/support/subprocess.h"

namespace birkhoff::testing {

// 60 documents of 20 to 49 words, drawn by a linear congruential generator.
inline std::string generated_text() {
  constexpr const char* kWords[] = {"the",  "stream", "of",    "a",     "river", "mixes", "and",
                                    "ends", "north",  "stone", "light", "never", "again"};
  uint64_t state = 1;
  const auto below = [&](uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  std::string text;
  for (int document = 0; document < 60; ++document) {
    for (uint64_t word = 0, words = 20 + below(30); word < words; ++word)
      text += std::string(word ? " " : "") + kWords[below(std::size(kWords))];
    text += ".\n\n";
  }
  return text;
}

// Below at(""): the dataset `set` (data.path), the config small.yaml, and run.dir `run`.
class SmallRun {
 public:
  SmallRun() {
    spill(scratch_ / "text.txt", generated_text());
    const Finished made =
        birkhoff({"data", "prepare", "--out", at("set"), "--split", "blank-line", at("text.txt")});
    check(made.code == 0, "data prepare: {}", made.err);
    spill(scratch_ / "small.yaml",
          fmt::format("run: {{dir: {0}/run, threads: 1}}\n"
                      "data: {{path: {0}/set, validation_fraction: 0.1, cross_documents: true,\n"
                      "       predict_across_documents: true}}\n"
                      "model: {{vocab: 257, dim: 32, layers: 3, dense_layers: 1, heads: 2,\n"
                      "        nope_dim: 8, rope_dim: 4, v_dim: 8, kv_rank: 16, residual: mhc,\n"
                      "        streams: 2}}\n"
                      "moe: {{experts: 4, active: 2, shared: 1, expert_dim: 16}}\n"
                      "train: {{steps: 6, global_batch: 4, micro_batch: 2, sequence: 32,\n"
                      "        precision: fp32, eval_every: 3, eval_batches: 100}}\n"
                      "optim: {{lr: 3e-3, schedule: cosine, warmup_steps: 2}}\n"
                      "checkpoint: {{every: 3, keep: all}}\n",
                      scratch_.path().string()));
  }

  std::string at(const std::string& name) const { return (scratch_ / name).string(); }

  // `birkhoff <command> small.yaml overrides…`
  Finished with_config(const std::string& command, std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), {command, at("small.yaml")});
    return birkhoff(std::move(overrides));
  }

 private:
  Scratch scratch_;
};

}  // namespace birkhoff::testing
