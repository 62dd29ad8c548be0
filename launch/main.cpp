// birkhoff: one binary, with one file per subcommand. Every failure ends here, with one line on
// stderr and the exit code of its type.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "base/describe_cuda.h"
#include "base/error.h"
#include "launch/commands.h"
#include "launch/usage.h"

namespace {

using birkhoff::ExitCode;

int report(ExitCode code, std::string_view what) {
  std::fprintf(stderr, "birkhoff: %.*s\n", int(what.size()), what.data());
  return int(code);
}

int run(int argc, char** argv) {
  CLI::App app(
      "Birkhoff pretrains MLA + MoE language models with manifold-constrained "
      "hyper-connections.",
      "birkhoff");
  app.set_version_flag(
      "--version", [] { return "birkhoff " BIRKHOFF_VERSION "\n" + birkhoff::describe_cuda(); });
  app.require_subcommand(1);
  ExitCode result = ExitCode::ok;
  birkhoff::add_train(app, result);
  birkhoff::add_plan(app);
  birkhoff::add_bench(app);
  birkhoff::add_sample(app);
  birkhoff::add_score(app);
  birkhoff::add_verify(app);
  birkhoff::add_import(app);
  birkhoff::add_export(app);
  birkhoff::add_data(app);
  try {
    app.parse(argc, argv);
    birkhoff::flush_out();
    return int(result);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help, --version
      app.exit(e);
      birkhoff::flush_out();
      return int(ExitCode::ok);
    }
    return report(ExitCode::config, birkhoff::usage_fault(app, e, {argv + 1, argv + argc}));
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Writing beyond the file size limit then fails with an error instead of killing the process.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const birkhoff::Error& e) {
    return report(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return report(ExitCode::resource, "out of memory");
  } catch (const std::exception& e) {
    return report(ExitCode::internal, e.what());
  }
}
