// birkhoff bench: the speed of a config's training step, operator by operator, against what the
// machine can do.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "base/system_error.h"
#include "base/temporary.h"
#include "engine/config/reference.h"
#include "engine/train/bench_report.h"
#include "launch/commands.h"
#include "launch/config_argument.h"

namespace birkhoff {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string json;
  BenchOptions bench;
};

// Throws if the output file must not be written, before the minutes that the measurement takes. An
// earlier result or an empty file may be replaced.
void check_output(const Path& file) {
  const Path directory = file.has_parent_path() ? file.parent_path() : Path(".");
  if (::access(directory.c_str(), W_OK) != 0) throw_system_error("write to", directory);
  std::error_code error;
  const auto status = std::filesystem::symlink_status(file, error);
  if (!std::filesystem::exists(status)) return;
  std::string text;
  bool is_ours = std::filesystem::is_regular_file(status);
  if (is_ours) {
    try {
      text = read_file(file, size_t(256) << 20);
    } catch (const ResourceError&) {
      is_ours = false;
    }
  }
  if (!is_ours || !(text.empty() || is_bench_json(text)))
    throw ConfigError(
        fmt::format("--json: {} exists and is not a result of birkhoff bench, so it is not "
                    "replaced; name another file",
                    printable(file.string())));
}

void run(const Options& o) {
  const Config config = load_config_argument(o.config, o.overrides, Use::training).config;
  for (const std::string& warning : validate(config, Use::training)) log_warning("{}", warning);
  const Path file = o.json;
  if (!file.empty()) check_output(file);
  remove_temporaries_on_signals();
  const BenchResult result = bench(config, o.bench);
  write_out(to_table(result));
  if (file.empty()) return;
  check_output(file);
  remove_dead_temporaries(file);
  write_file(file, to_json(result, o.config));
}

}  // namespace

void add_bench(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure the training step of a config on random tokens: the whole step, each operator, and "
      "the machine's limits; run.threads sets the number of threads");
  command->add_option("config", options->config, "config file (YAML), or a run directory")
      ->required();
  command->add_option(
      "overrides", options->overrides,
      "config keys to override, as key=value; if a key is given several times, the last one wins");
  command->add_option("--json", options->json,
                      "write all results to this file, for scripts/roofline.py");
  command
      ->add_option("--steps", options->bench.steps,
                   "number of steps to measure, after 2 warm-up steps")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->add_flag("!--no-plain", options->bench.plain,
                    "do not measure the same model with the plain residual for comparison");
  command->add_flag("--scaling", options->bench.scaling,
                    "also measure the step with 1, 2, 4, … threads");
  command
      ->add_option(
          "--array-mib", options->bench.array_mib,
          "size in MiB of each of the two arrays that measure bandwidth; 0: 4 times the L3 cache")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20));
  command->footer(help_text);
  command->callback([options] { run(*options); });
}

}  // namespace birkhoff
