// birkhoff sample: text from a checkpoint, byte by byte as it is chosen.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "engine/data/tokenizer.h"
#include "engine/train/generator.h"
#include "engine/train/load_model.h"
#include "engine/train/token_choice.h"
#include "engine/train/trainer.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

struct Options {
  std::string checkpoint, prompt;
  int64_t tokens = 400, threads = 0;
  TokenChoice choice{.temperature = 0.8, .top_k = 0, .top_p = 0.95, .seed = 1};
};

// The model has seen positions below its training sequence only. When the window is full it starts
// again with the newest half of it.
class Window {
 public:
  Window(Generator& generator, int64_t size) : generator_(generator), size_(size) {}

  std::span<const float> feed(std::span<const int32_t> tokens) {
    std::span<const float> logits;
    for (const int32_t token : tokens) {
      seen_.push_back(token);
      if (generator_.length() == size_) {
        generator_.restart();
        logits = generator_.feed(std::span(seen_).last(size_t(size_ / 2)));
      } else {
        logits = generator_.feed({&token, 1});
      }
    }
    return logits;
  }
  int64_t length() const { return int64_t(seen_.size()); }

 private:
  Generator& generator_;
  int64_t size_;
  std::vector<int32_t> seen_;
};

void run(const Options& o) {
  check_token_choice(o.choice);
  const Checkpoint checkpoint = open_checkpoint(o.checkpoint);
  Config config = config_of(checkpoint);
  if (o.threads) config.run.threads = o.threads;
  const ByteTokenizer tokenizer;
  if (config.model.vocab < tokenizer.vocab())
    throw ConfigError(
        fmt::format("the model's vocabulary of {} is not the byte tokenizer's {}; "
                    "sample writes text with that one alone, score reads token ids",
                    config.model.vocab, tokenizer.vocab()));

  // A document begins behind the end of the one before.
  std::vector<int32_t> tokens = {tokenizer.end_of_document()};
  tokenizer.encode(o.prompt, tokens);
  ThreadTeam team(thread_count(config, 1));
  Generator generator(config, team, std::max<int64_t>(2, config.train.sequence));
  load_tensors(checkpoint, generator.tensors());
  Window window(generator, generator.context());

  write_out(o.prompt);
  std::span<const float> logits = window.feed(tokens);
  for (int64_t i = 0; i < o.tokens; ++i) {
    const auto next = int32_t(
        choose_token(logits.first(size_t(tokenizer.vocab())), o.choice, uint64_t(window.length())));
    if (next == tokenizer.end_of_document()) break;
    write_out(tokenizer.decode({&next, 1}));
    flush_out();
    if (i + 1 < o.tokens) logits = window.feed({&next, 1});
  }
  write_out("\n");
}

}  // namespace

void add_sample(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "sample", "Write text with a trained model, which looks back train.sequence tokens at most");
  command->add_option("checkpoint", o->checkpoint, "checkpoint, or run directory: its newest")
      ->required();
  command->add_option("--prompt", o->prompt, "text to go on from");
  command->add_option("--tokens", o->tokens, "at most this many")->check(CLI::Range(1, 1 << 20));
  command->add_option("--temperature", o->choice.temperature, "0: the likeliest token");
  command->add_option("--top-k", o->choice.top_k, "choose among this many; 0: all");
  command->add_option("--top-p", o->choice.top_p, "choose among the likeliest that sum to this");
  command->add_option("--seed", o->choice.seed, "same seed, same text");
  command->add_option("--threads", o->threads, "0: as the run's config")
      ->check(CLI::Range(0, 1024));
  command->callback([o] { run(*o); });
}

}  // namespace birkhoff
