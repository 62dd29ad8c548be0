// birkhoff import: makes a run that starts from an existing model.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/temporary.h"
#include "engine/config/choices.h"
#include "engine/train/import_model.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

struct Options {
  std::string source, out, residual;
  std::vector<std::string> overrides;
};

void run(const Options& o) {
  ImportOptions options{.source = o.source, .out = o.out, .overrides = o.overrides};
  const auto& names = Choices<ResidualKind>::names;
  for (size_t i = 0; i < names.size(); ++i)
    if (o.residual == names[i]) options.residual = static_cast<ResidualKind>(i);
  remove_temporaries_on_signals();
  options.progress = show_work("imported");
  const Imported imported = import_model(options);
  options.progress = nullptr;  // removes its line
  if (!imported.passed_over.empty())
    fmt::print(stderr, "birkhoff: {}\n", printable(imported.passed_over));
  write_out(fmt::format(
      "{}: {} parameters, residual {}; to train it: birkhoff train {} data.path=...\n",
      printable(imported.checkpoint.string()), imported.parameters,
      name(imported.config.model.residual), printable((options.out / "config.yaml").string())));
}

}  // namespace

void add_import(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "import", "Make a run that starts from a Hugging Face DeepseekV3 model or a checkpoint");
  command
      ->add_option(
          "source", o->source,
          "directory with config.json and safetensors files, or checkpoint, or run directory")
      ->required();
  command->add_option(
      "overrides", o->overrides,
      "config keys to override, as key=value; if a key is given several times, the last one wins");
  command->add_option("--out", o->out, "run directory to create; must not exist yet")->required();
  command
      ->add_option("--residual", o->residual,
                   "residual that a plain model is given: plain, hc or mhc")
      ->check(CLI::IsMember({"plain", "hc", "mhc"}));
  command->callback([o] { run(*o); });
}

}  // namespace birkhoff
