// birkhoff train: a run from its config, on one rank or on as many as a launcher has started.
#include "engine/train/trainer.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "base/log.h"
#include "comm/drill.h"
#include "comm/exchange.h"
#include "comm/watch/verdict.h"
#include "comm/watch/watchdog.h"
#include "comm/world.h"
#include "engine/config/reference.h"
#include "launch/commands.h"
#include "launch/config_argument.h"
#include "launch/stop_signal.h"

namespace birkhoff {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string drill;
  TrainOptions train;
};

Config load(const Options& o, World& world) {
  std::optional<ConfigArgument> loaded;
  together(world.ranks(), [&] {
    loaded = load_config_argument(o.config, o.overrides, Use::training);
    if (!o.drill.empty()) Drill{o.drill};  // its errors are reported with the config's
  });
  std::vector<std::string> warnings = validate(loaded->config, Use::training);
  warnings.insert(warnings.end(), loaded->warnings.begin(), loaded->warnings.end());
  if (world.rank() == 0)
    for (const std::string& warning : warnings) log_warning("{}", warning);
  return loaded->config;
}

ExitCode run_watched(const Options& o, const Config& config, World& world) {
  Beacon beacon;
  std::optional<StopAnnouncement> announcement;
  if (world.rank() == 0) announcement.emplace(beacon);
  bool got_on = world.local_rank() != 0;  // one rank per machine reports progress
  std::optional<Drill> drill;
  if (!o.drill.empty()) beacon.rehearse(drill.emplace(o.drill), world.rank());
  world.ranks().watch(&beacon);
  Watchdog watchdog(
      {.rank = world.rank(),
       .size = world.size(),
       .beacon = &beacon,
       .timeout = double(config.run.timeout),
       .abort = [flag = world.abort_flag()] { flag->raise(ExitCode::peer, "another rank failed"); },
       .broadcast = [&](const std::string& text) { return broadcast_text(world.ranks(), text, 0); },
       .log = [](const std::string& line) { log_to_file(LogLevel::error, line); }});
  try {
    beacon.enter(0, Activity::init);
    const RankEnvironment environment{.ranks = world.ranks(),
                                      .beacon = beacon,
                                      .ranks_here = world.local_size(),
                                      .stop_requested = stop_requested,
                                      .step_done = [&](double seconds) {
                                        watchdog.step_took(seconds);
                                        if (!std::exchange(got_on, true)) leave_progress();
                                      }};
    const TrainOutcome outcome = train(config, environment, o.train);
    beacon.enter(beacon.snapshot().step, Activity::finish);
    world.finish();
    watchdog.finish();
    return outcome == TrainOutcome::preempted ? ExitCode::preempted : ExitCode::ok;
  } catch (const std::exception& e) {
    if (world.size() == 1) throw;
    return watchdog.report(e);
  }
}

ExitCode run(const Options& o) {
  catch_stop_signals();
  World world;
  try {
    return run_watched(o, load(o, world), world);
  } catch (const Error& e) {
    // Ranks without a watchdog agree on the error, and rank 0 reports it.
    if (world.rank() == 0) throw;
    return e.code();
  }
}

}  // namespace

void add_train(CLI::App& app, ExitCode& result) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("train", "Train a model");
  command->add_option("config", options->config, "config file (YAML), or a run directory to resume")
      ->required();
  command->add_option(
      "overrides", options->overrides,
      "config keys to override, as key=value; if a key is given several times, the last one wins");
  command->add_flag("--profile", options->train.profile, "log the time spent in each operator");
  command
      ->add_flag("--trace{3}", options->train.trace_steps,
                 "write a timeline of each rank's first 3 steps, or --trace=STEPS, to "
                 "<run.dir>/trace/, to open in ui.perfetto.dev")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--drill", options->drill,
                      "make a rank fail on purpose, e.g. rank=1,step=3,at=backward,kind=kill (see "
                      "docs/reliability.md)");
  command->footer(help_text);
  command->callback([options, &result] { result = run(*options); });
}

}  // namespace birkhoff
