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

// A run directory stands for its config.yaml, of the run in that directory: run.dir is the
// directory whatever the file says. What an earlier start was asked for alone is not asked again:
// run.resume: never, run.allow_changes, train.stop_at. Throws ConfigError, also for other
// directories. Warns of a config.yaml that lies in a run directory and names another one.
ConfigArgument load_config_argument(const std::string& given,
                                    const std::vector<std::string>& overrides,
                                    Use use = Use::reading);

}  // namespace birkhoff
