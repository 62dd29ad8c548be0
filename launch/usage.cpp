#include "launch/usage.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "engine/config/suggest.h"

namespace birkhoff {
namespace {

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// The known word that `word` abbreviates or misspells; empty if there are none or several.
std::string nearest(const std::string& word, const std::vector<std::string_view>& known) {
  std::string found;
  for (const std::string_view candidate : known) {
    if (!candidate.starts_with(word)) continue;
    if (!found.empty()) return "";  // several
    found = candidate;
  }
  return found.empty() ? nearest_word(word, known) : found;
}

// `command`: "", or "data ".
std::string unknown(std::string_view what, const std::string& word, const std::string& command,
                    const std::vector<std::string_view>& known) {
  const std::string meant = nearest(word, known);
  return fmt::format("unknown {} '{}{}'{}", what, command, printable(word, 60),
                     meant.empty() ? fmt::format("; choose from {}", fmt::join(known, ", "))
                                   : did_you_mean(meant));
}

}  // namespace

std::string usage_fault(const CLI::App& app, const CLI::ParseError& error,
                        std::span<char* const> arguments) {
  const CLI::App* at = &app;
  std::string command;  // "data "
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string word = arguments[i];
    if (word == "--") break;
    const auto subcommands = at->get_subcommands([](const CLI::App*) { return true; });
    if (word.starts_with('-') && word.size() > 1) {
      const std::string name = word.substr(0, word.find('='));
      const CLI::Option* option = at->get_option_no_throw(name);
      if (option) {
        if (word == name && option->get_items_expected_min() > 0) ++i;  // its value
        continue;
      }
      const std::vector<std::string> names = options_of(*at);
      return unknown("option", name, command, {names.begin(), names.end()});
    }
    if (subcommands.empty()) continue;  // a positional argument
    std::vector<std::string_view> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* sub : subcommands) {
      names.push_back(sub->get_name());
      if (sub->get_name() == word) next = sub;
    }
    if (!next) return unknown("subcommand", word, command, names);
    at = next;
    command += word + " ";
  }
  return fmt::format("{}; see --help", printable(error.what()));
}

}  // namespace birkhoff
