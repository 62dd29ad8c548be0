#pragma once
// What is wrong with a command line that CLI11 has refused, in one line that names the word.
#include <span>
#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace birkhoff {

// `arguments` without the program's name. Names the first unknown subcommand or option and the
// nearest that exists; else says what CLI11 says.
std::string usage_fault(const CLI::App& app, const CLI::ParseError& error,
                        std::span<char* const> arguments);

}  // namespace birkhoff
