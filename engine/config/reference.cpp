#include "engine/config/reference.h"

#include "base/format.h"
#include "engine/config/fields.h"

namespace birkhoff {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

<!-- Generated from engine/config/fields.cpp; a test fails while it is stale and prints the command
that regenerates it. -->

A config is a YAML file of sections and keys. Every key has a default, so a file only needs the keys
that differ.

    extends: 3b.yaml        # another config, relative to this file's directory; this one wins
    model:
      residual: plain

- On the command line `key=value` overrides a key:
  `birkhoff train configs/tiny.yaml optim.lr=3e-4 'optim.step_points=[0.5, 0.9]'`
  (in quotes where the shell would split it). If a key is given several times, the last one wins.
- A run writes its effective config, with every key, to `<run.dir>/config.yaml`.
- All errors are reported at once, with exit code 2:
  `configs/my.yaml:12:3: optim.leaning_rate: unknown key; did you mean 'optim.lr'?`
- YAML is read strictly: no anchors, aliases, tags, merge keys or second document; a value ends on
  its line; integers are decimal; floats are finite; `true` and `false` are the only booleans; text
  needs quotes where YAML would read it as something else.
- Paths, except that of `extends`, are relative to the working directory.
- `train`, `plan`, `bench` and `data split` also accept a run directory in place of a file. They
  then use its config.yaml, and `run.dir` is that directory whatever the file says
  ([the run directory](formats/run_directory.md)).
)";

// Escapes |, which separates cells.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string meaning(const Field& field) {
  if (field.unit.empty()) return std::string(field.help);
  return fmt::format("[{}] {}", field.unit, field.help);
}

}  // namespace

std::string help_text() {
  std::string out = "Config keys, set in a YAML file or as key=value (see docs/config.md):\n";
  Config defaults;
  const std::vector<Field> fields = fields_of(defaults);
  for (const Section& section : config_sections()) {
    out += fmt::format("\n{}{}{}\n", section.name, section.name.empty() ? "" : ": ", section.help);
    for (const Field& field : fields) {
      if (field.section() != section.name) continue;
      out += fmt::format("  {} = {}\n      {}\n      {}\n", field.key, value_text(field),
                         meaning(field), expects(field));
    }
  }
  return out;
}

std::string markdown_reference() {
  std::string out(kIntroduction);
  Config defaults;
  const std::vector<Field> fields = fields_of(defaults);
  for (const Section& section : config_sections()) {
    out += section.name.empty() ? fmt::format("\n## {}\n\n", section.help)
                                : fmt::format("\n## `{}`: {}\n\n", section.name, section.help);
    out += "| key | default | expects | unit | meaning |\n|---|---|---|---|---|\n";
    for (const Field& field : fields) {
      if (field.section() != section.name) continue;
      out += fmt::format("| `{}` | `{}` | {} | {} | {} |\n", field.key, cell(value_text(field)),
                         cell(expects(field)), cell(field.unit), cell(field.help));
    }
  }
  return out;
}

}  // namespace birkhoff
