#pragma once
// The subcommands: each registers itself with a callback that runs it. Callbacks throw
// birkhoff::Error; main turns it into a line and an exit code.
#include <functional>
#include <string_view>

#include "base/error.h"

namespace CLI {
class App;
}

namespace birkhoff {

// train CONFIG [key=value …]; `result` is set to the process's exit code
void add_train(CLI::App& app, ExitCode& result);
void add_plan(CLI::App& app);    // plan CONFIG [key=value …] [--json] [--listing]
void add_bench(CLI::App& app);   // bench CONFIG [key=value …] [--json FILE] [--steps N] …
void add_sample(CLI::App& app);  // sample CKPT --prompt TEXT
void add_score(CLI::App& app);   // score CKPT --tokens FILE --json
void add_verify(CLI::App& app);  // verify CKPT
void add_import(CLI::App& app);  // import DIR|CKPT --out RUN [--residual …] [key=value …]
void add_export(CLI::App& app);  // export CKPT --to hf --out DIR
void add_data(CLI::App& app);    // data prepare | inspect | verify | split

// Standard output. A failed write or flush is a ResourceError: a full disk or a closed pipe must
// not pass for success. main() flushes after the subcommand.
void write_out(std::string_view bytes);
void flush_out();
void warn(std::string_view text);  // prints a line on standard error; nothing if empty

// Returns a function that shows the progress of long work, in bytes or tokens, on standard error
// (engine/train/progress.h). `done` is the verb: "verified". The line goes with the last copy.
std::function<void(size_t done, size_t total)> show_work(std::string_view done,
                                                         bool tokens = false);

void add_data_split(CLI::App& data);  // data split CONFIG --part train|validation

}  // namespace birkhoff
