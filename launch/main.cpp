// birkhoff: one binary, one file a subcommand. Every failure ends here: one line on stderr, the
// exit code of its type.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>

#include "base/error.h"
#include "launch/commands.h"

namespace {

int report(birkhoff::ExitCode code, const char* what) {
  std::fprintf(stderr, "birkhoff: %s\n", what);
  return int(code);
}

int run(int argc, char** argv) {
  CLI::App app(
      "Birkhoff pretrains MLA + MoE language models with manifold-constrained "
      "hyper-connections.",
      "birkhoff");
  app.require_subcommand(1);
  birkhoff::add_train(app);
  birkhoff::add_plan(app);
  birkhoff::add_sample(app);
  birkhoff::add_score(app);
  birkhoff::add_verify(app);
  birkhoff::add_data(app);
  try {
    app.parse(argc, argv);
    return int(birkhoff::ExitCode::ok);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help
    app.exit(e);
    return int(birkhoff::ExitCode::config);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const birkhoff::Error& e) {
    return report(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return report(birkhoff::ExitCode::resource, "out of memory");
  } catch (const std::exception& e) {
    return report(birkhoff::ExitCode::internal, e.what());
  }
}
