// birkhoff plan: what a run would need, without running it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/log.h"
#include "engine/plan/listing.h"
#include "engine/train/memory_report.h"
#include "engine/train/programs.h"
#include "engine/train/trainer.h"
#include "launch/commands.h"
#include "launch/config_argument.h"

namespace birkhoff {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  int world = 1;
  bool json = false, listing = false, streams = false;
};

void print_listing(const Config& config) {
  std::fputs(listing(SessionPrograms(config).train).c_str(), stdout);
}

void print_streams(const Config& config) {
  const SessionPrograms programs(config);
  const Plan plan = plan_memory(programs.schedule, stream_of);
  const StreamPlan streams = plan_streams(programs.schedule, plan);
  std::fputs(listing(programs.schedule, streams).c_str(), stdout);
  const size_t one = plan_memory(programs.schedule).bytes(Arena::activations);
  std::printf("%d events; activations take %zu B, on one stream %zu B\n", streams.events,
              plan.bytes(Arena::activations), one);
}

void run(const Options& o) {
  const ConfigArgument loaded = load_config_argument(o.config, o.overrides, Use::planning);
  for (const std::string& warning : loaded.warnings) log_warning("{}", warning);
  const Config& config = loaded.config;
  if (o.streams) return print_streams(config);
  if (o.listing) return print_listing(config);
  // Memory for the positions of existing documents: 40 bytes each, where the index has at least 20.
  std::error_code missing;
  const auto bytes = std::filesystem::file_size(config.data.path + ".idx", missing);
  const MemoryReport report =
      plan_run(config, thread_count(config, 1), o.world, missing ? 0 : 2 * size_t(bytes));
  if (o.json) {
    std::printf("%s\n", to_json(report).c_str());
    return;
  }
  std::fputs(to_table(report).c_str(), stdout);
}

}  // namespace

void add_plan(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("plan",
                                         "Print the parameters and the exact memory of one rank of "
                                         "a config's run, without running it");
  command->add_option("config", options->config, "config file (YAML), or a run directory")
      ->required();
  command->add_option(
      "overrides", options->overrides,
      "config keys to override, as key=value; if a key is given several times, the last one wins");
  command->add_option("--world", options->world, "number of ranks of the run")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--json", options->json, "print the report as JSON");
  command->add_flag("--listing", options->listing,
                    "print the program of a step, one line per operator call");
  command->add_flag("--streams", options->streams,
                    "print the program as a device with streams runs it, with the events that each "
                    "call waits for");
  command->callback([options] { run(*options); });
}

}  // namespace birkhoff
