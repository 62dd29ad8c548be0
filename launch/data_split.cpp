// birkhoff data split: the text a config's run trains on, or holds out.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "engine/data/prepare.h"
#include "engine/train/training_data.h"
#include "launch/commands.h"
#include "launch/config_argument.h"

namespace birkhoff {
namespace {

struct Options {
  std::string config, part = "validation";
  std::vector<std::string> overrides;
};

void run(const Options& o) {
  const Config config = load_config_argument(o.config, o.overrides).config;
  const TrainingData data = open_training_data(config);
  if (!data.source.dataset || !data.tokenizer)
    throw DataError(
        fmt::format("data split: only datasets of the tokenizer 'byte' can be written as text; the "
                    "tokenizer of {} is {}",
                    data.source.dataset ? printable(config.data.path) : "data.source: random",
                    to_string(*data.made_by.identity)));
  const Documents& documents =
      o.part == "train" ? data.source.split.train : data.source.split.validation;
  write_text(*data.source.dataset, documents, *data.tokenizer, [](std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
      throw ResourceError("data split: cannot write to standard output");
  });
}

}  // namespace

void add_data_split(CLI::App& data) {
  const auto o = std::make_shared<Options>();
  CLI::App* command =
      data.add_subcommand("split", "Print the text that a config's run trains on or holds out");
  command->add_option("config", o->config, "config file (YAML), or a run directory")->required();
  command->add_option(
      "overrides", o->overrides,
      "config keys to override, as key=value; if a key is given several times, the last one wins");
  command->add_option("--part", o->part, "part to print: train or validation")
      ->check(CLI::IsMember({"train", "validation"}))
      ->capture_default_str();
  command->callback([o] { run(*o); });
}

}  // namespace birkhoff
