#pragma once
// birkhoff data prepare | inspect | verify
#include <CLI/CLI.hpp>

namespace birkhoff {

// Registers the subcommand; its callbacks throw Error, whose code is the exit code.
void add_data(CLI::App& app);

}  // namespace birkhoff
