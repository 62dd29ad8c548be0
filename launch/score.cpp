// birkhoff score: log-probability of every token of a file, given by a checkpoint's model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/data/token_list.h"
#include "engine/data/tokenizer.h"
#include "engine/train/load_model.h"
#include "engine/train/run_tokenizer.h"
#include "engine/train/scorer.h"
#include "engine/train/trainer.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

constexpr size_t kMaxTokens = size_t(64) << 20;  // largest input file, in bytes

struct Options {
  std::string checkpoint, tokens, text;
  bool json = false;
  int64_t threads = 0;
};

std::string read_input(const std::string& path) {
  try {
    return read_file(path, kMaxTokens);
  } catch (const ResourceError& e) {
    std::error_code error;
    const bool large = std::filesystem::is_regular_file(path, error) &&
                       std::filesystem::file_size(path, error) > kMaxTokens;
    throw DataError(
        fmt::format("score: {}; {}", e.what(),
                    large ? "split the file and score its parts" : "give a readable file"));
  }
}

std::vector<int32_t> read_tokens(const Options& o) {
  if (o.text.empty()) return parse_token_list(read_input(o.tokens), o.tokens);
  const ByteTokenizer tokenizer;
  std::vector<int32_t> ids = {tokenizer.end_of_document()};
  tokenizer.encode(read_input(o.text), ids);
  return ids;
}

// A window scores all of its tokens except the first; windows overlap by one token.
Batch window(const std::vector<int32_t>& ids, size_t first, int64_t rows, int64_t sequence) {
  Batch batch;
  batch.resize(rows, sequence);
  std::fill(batch.token.begin(), batch.token.end(), 0);
  std::fill(batch.target.begin(), batch.target.end(), -1);
  for (int64_t t = 0; t < rows * sequence; ++t) {
    batch.position[size_t(t)] = -1;  // padding, unless a token is scored here
    batch.first_key[size_t(t)] = int32_t(t);
    const size_t i = first + size_t(t);
    if (t >= sequence || i + 1 >= ids.size()) continue;
    batch.token[size_t(t)] = ids[i], batch.target[size_t(t)] = ids[i + 1];
    batch.position[size_t(t)] = int32_t(t), batch.first_key[size_t(t)] = 0;
  }
  return batch;
}

// Log-probability of each token except the first.
std::vector<double> score(Scorer& scorer, const std::vector<int32_t>& ids, int64_t sequence) {
  const auto show = show_work("scored", true);
  std::vector<double> log_probability;
  for (size_t first = 0; first + 1 < ids.size(); first += size_t(sequence)) {
    const Batch batch = window(ids, first, 1, sequence);
    const auto nll = scorer.score(batch);
    for (int64_t t = 0; t < sequence; ++t)
      if (batch.target[size_t(t)] >= 0) log_probability.push_back(-double(nll[size_t(t)]));
    show(log_probability.size(), ids.size() - 1);
  }
  return log_probability;
}

void run(const Options& o) {
  if (o.tokens.empty() == o.text.empty())
    throw ConfigError("score: give either --tokens FILE or --text FILE, not both");
  const Checkpoint checkpoint = open_checkpoint(o.checkpoint);
  Config config = config_of(checkpoint);
  if (!o.text.empty())
    warn(
        require_byte_tokenizer(checkpoint, config, "score token ids instead: score --tokens FILE"));
  config.train.micro_batch = 1;
  if (o.threads) config.run.threads = o.threads;
  const std::vector<int32_t> ids = read_tokens(o);
  if (ids.size() < 2)
    throw DataError("score: at least two tokens are needed, because the first one is not scored");
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= config.model.vocab)
      throw DataError(fmt::format("{}: token {} at position {} is outside the vocabulary of {}",
                                  printable(o.text.empty() ? o.tokens : o.text), ids[i], i,
                                  config.model.vocab));
  ThreadTeam team(thread_count(config, 1));
  Scorer scorer(config, team, 1, config.train.sequence);
  load_tensors(checkpoint, scorer.tensors());

  const std::vector<double> log_probability = score(scorer, ids, config.train.sequence);
  const double loss = -std::accumulate(log_probability.begin(), log_probability.end(), 0.0) /
                      double(log_probability.size());
  if (!o.json) {
    std::printf("%zu tokens scored, loss %.6f nats per token, perplexity %.4f\n",
                log_probability.size(), loss, std::exp(loss));
    return;
  }
  nlohmann::ordered_json j;
  j["tokens"] = std::vector<int32_t>(ids.begin() + 1, ids.end());
  j["log_probability"] = log_probability;
  j["loss"] = loss;
  std::printf("%s\n", j.dump().c_str());
}

}  // namespace

void add_score(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("score",
                                         "Compute the log-probability of each token of a file, "
                                         "given the tokens before it in its window");
  command
      ->add_option("checkpoint", o->checkpoint,
                   "checkpoint, or run directory for its newest checkpoint")
      ->required();
  command->add_option(
      "--tokens", o->tokens,
      "file of decimal token ids, separated by spaces, line breaks or commas, or as a JSON array");
  command->add_option("--text", o->text,
                      "text file, for models of the byte tokenizer; others need --tokens");
  command
      ->add_option("--threads", o->threads,
                   "number of threads; 0: as run.threads in the checkpoint's config")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", o->json, "print each token's log-probability as JSON");
  command->callback([o] { run(*o); });
}

}  // namespace birkhoff
