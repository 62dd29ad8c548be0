#pragma once
// Says in one line, which names the word, what is wrong with a command line that CLI11 refused.
#include <span>
#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace birkhoff {

// `arguments` excludes the program's name. Names the first unknown subcommand or option and the
// nearest known one, or else repeats CLI11's message.
std::string usage_fault(const CLI::App& app, const CLI::ParseError& error,
                        std::span<char* const> arguments);

}  // namespace birkhoff
