// birkhoff train: a run from its config.
#include "engine/train/trainer.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "base/log.h"
#include "engine/config/load.h"
#include "engine/config/reference.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  TrainOptions train;
};

void run(const Options& o) {
  const Config config = load_config(o.config, o.overrides, Use::training);
  for (const std::string& warning : validate(config, Use::training)) log_warning("{}", warning);
  train(config, o.train);
}

}  // namespace

void add_train(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("train", "Train a model");
  command->add_option("config", options->config, "config file (YAML)")->required();
  command->add_option("overrides", options->overrides, "key=value, the last of a key wins");
  command->add_flag("--profile", options->train.profile, "log the seconds of each operator");
  command->footer(help_text);
  command->callback([options] { run(*options); });
}

}  // namespace birkhoff
