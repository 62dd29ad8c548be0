#pragma once
// The CONFIG argument of train, plan, bench and data split: a config file, or a run directory.
#include <span>
#include <string>
#include <vector>

#include "engine/config/load.h"

namespace birkhoff {

struct ConfigArgument {
  Config config;
  std::vector<std::string> warnings;
};

// Loads a config file, or the config.yaml of a run directory: then run.dir is that directory,
// whatever the file says, and settings that were meant for an earlier start only are reset
// (run.resume: never, run.allow_changes, train.stop_at). Throws ConfigError, also for a directory
// that is no run. Warns of a config.yaml that lies in a run directory but names another one.
ConfigArgument load_config_argument(const std::string& given,
                                    const std::vector<std::string>& overrides,
                                    Use use = Use::reading);

}  // namespace birkhoff
