// birkhoff sample: generates text from a checkpoint, byte by byte, or token ids.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/data/tokenizer.h"
#include "engine/train/generator.h"
#include "engine/train/load_model.h"
#include "engine/train/run_tokenizer.h"
#include "engine/train/token_choice.h"
#include "engine/train/trainer.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

struct Options {
  std::string checkpoint, prompt;
  std::vector<int32_t> ids;
  int64_t tokens = 400, threads = 0;
  TokenChoice choice{.temperature = 0.8, .top_k = 0, .top_p = 0.95, .seed = 1};
};

// Keeps positions below the model's training sequence, since it has seen no others. A full window
// starts again with its newest half.
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

// The ids to continue from, the number of ids to choose among, and the ids that end a document.
struct Start {
  std::vector<int32_t> ids;
  int64_t vocab = 0;
  TokenIds end;
};

Start start_of_text(const Options& o, const Checkpoint& checkpoint, const Config& config) {
  warn(require_byte_tokenizer(
      checkpoint, config, "give token ids instead: sample --ids 1,2,3, or score --tokens FILE"));
  const ByteTokenizer tokenizer;
  // A document begins after the end of the one before.
  Start start{.ids = {tokenizer.end_of_document()},
              .vocab = tokenizer.vocab(),
              .end = {.ids = {tokenizer.end_of_document()}}};
  tokenizer.encode(o.prompt, start.ids);
  return start;
}

Start start_of_ids(const Options& o, const Checkpoint& checkpoint, const Config& config) {
  Start start{.ids = o.ids, .vocab = config.model.vocab, .end = {}};
  if (const auto& identity = checkpoint.manifest().info.tokenizer) {
    if (identity->vocab > 0) start.vocab = std::min(start.vocab, identity->vocab);
    start.end = identity->special.eos;
  }
  return start;
}

void run(const Options& o) {
  check_token_choice(o.choice);
  const Checkpoint checkpoint = open_checkpoint(o.checkpoint);
  Config config = config_of(checkpoint);
  if (o.threads) config.run.threads = o.threads;
  const bool text = o.ids.empty();
  const Start start =
      text ? start_of_text(o, checkpoint, config) : start_of_ids(o, checkpoint, config);
  ThreadTeam team(thread_count(config, 1));
  Generator generator(config, team, std::max<int64_t>(2, config.train.sequence));
  load_tensors(checkpoint, generator.tensors());
  Window window(generator, generator.context());

  if (text) write_out(o.prompt);
  std::vector<int32_t> chosen;
  std::span<const float> logits = window.feed(start.ids);
  for (int64_t i = 0; i < o.tokens; ++i) {
    const auto next = int32_t(
        choose_token(logits.first(size_t(start.vocab)), o.choice, uint64_t(window.length())));
    chosen.push_back(next);
    if (start.end.contains(next)) break;
    if (text) write_out(ByteTokenizer().decode({&next, 1})), flush_out();
    if (i + 1 < o.tokens) logits = window.feed({&next, 1});
  }
  if (text) return write_out("\n");
  nlohmann::ordered_json j;
  j["prompt"] = start.ids;
  j["tokens"] = chosen;
  write_out(j.dump() + "\n");
}

}  // namespace

void add_sample(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "sample",
      "Generate text with a trained model, which sees at most the last train.sequence tokens");
  command
      ->add_option("checkpoint", o->checkpoint,
                   "checkpoint, or run directory for its newest checkpoint")
      ->required();
  auto* prompt =
      command->add_option("--prompt", o->prompt,
                          "text to continue, for models of the byte tokenizer; others need --ids");
  command
      ->add_option("--ids", o->ids,
                   "token ids to continue, such as 1,2,3, of any tokenizer; prints them and the "
                   "generated ids, up to the end of the document, as JSON")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes(prompt);
  command->add_option("--tokens", o->tokens, "largest number of tokens to generate")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--temperature", o->choice.temperature,
                      "sampling temperature; 0: always the most likely token");
  command->add_option("--top-k", o->choice.top_k,
                      "sample from this many most likely tokens; 0: from all");
  command->add_option("--top-p", o->choice.top_p,
                      "sample from the most likely tokens whose probabilities sum to this");
  command->add_option("--seed", o->choice.seed, "random seed; the same seed gives the same text");
  command
      ->add_option("--threads", o->threads,
                   "number of threads; 0: as run.threads in the checkpoint's config")
      ->check(CLI::Range(0, 1024));
  command->callback([o] { run(*o); });
}

}  // namespace birkhoff
