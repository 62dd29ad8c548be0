#include "engine/config/load.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "engine/config/fields.h"
#include "engine/config/suggest.h"

namespace birkhoff {
namespace {

// More faults than this help nobody and would let a hostile file fill a log.
constexpr size_t kMaxFaults = 100;
constexpr std::string_view kCommandLine = "command line";

class Loader {
 public:
  Loader() : fields_(fields_of(config_)) {
    for (const Field& field : fields_) by_key_.emplace(field.key, &field);
    for (const Section& section : config_sections())
      if (!section.name.empty()) sections_.push_back(section.name);
  }
  Loader(const Loader&) = delete;  // fields_ points into config_
  Loader& operator=(const Loader&) = delete;

  void read_file_at(const Path& path, const std::string& blamed) {
    std::string text;
    try {
      text = read_file(path, kYamlMaxBytes);
    } catch (const ResourceError& e) {
      unread_ = true;
      return fault(blamed, "", e.what());
    }
    read_text(text, path);
  }

  // `path` is empty if the text comes from no file.
  void read_text(std::string_view text, const Path& path, const std::string& name = {}) {
    const YamlDocument document = parse_yaml(text);
    unread_ |= !document.whole;
    const std::string file = path.empty() ? printable(name) : printable(path.string());
    for (const YamlFault& f : document.faults)
      fault(fmt::format("{}:{}:{}", file, f.line, f.column), f.path, f.text);
    const YamlNode& root = document.root;
    if (root.kind == YamlNode::Kind::null) return;
    if (root.kind != YamlNode::Kind::map)
      return fault(place(file, root.line, root.column), "", "expects sections and keys");
    for (const YamlNode& node : root.children)
      if (node.key == "extends") extend(node, path, file);
    for (const YamlNode& node : root.children)
      if (node.key != "extends") top_level(node, file);
  }

  void override_with(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return fault(std::string(kCommandLine), "",
                   fmt::format("'{}' is not of the form key=value", printable(text, 60)));
    const std::string key = text.substr(0, equals);
    if (const auto at = by_key_.find(key); at != by_key_.end())
      return override_field(*at->second, text.substr(equals + 1));
    if (std::find(sections_.begin(), sections_.end(), key) != sections_.end())
      return fault(std::string(kCommandLine), key,
                   fmt::format("is a section; set one of its keys, as in {}.key=value", key));
    if (key == "extends") return fault(std::string(kCommandLine), key, "can only be set in a file");
    const size_t dot = key.find('.');
    const std::string section = dot == std::string::npos ? "" : key.substr(0, dot);
    unknown(std::string(kCommandLine), section,
            dot == std::string::npos ? key : key.substr(dot + 1));
  }

  // Checks the fields against each other; reports each fault where the first of its keys was set.
  void cross_check(const std::string& name, Use use) {
    if (unread_) return;  // its defaults are not what the user wrote
    for (const Finding& finding : findings(config_, use)) {
      if (finding.severity == Severity::warning) continue;
      const bool known =
          std::any_of(finding.keys.begin(), finding.keys.end(), [&](const std::string& key) {
            return faulty_.contains(key) || faulty_.contains(key.substr(0, key.find('.')));
          });
      if (known) continue;
      const std::string& key = finding.keys.front();
      const auto origin = origins_.find(key);
      fault(origin == origins_.end() ? printable(name) : origin->second, key, finding.text);
    }
  }

  Config finish() {
    if (faults_.empty()) return config_;
    std::string all;
    for (const std::string& line : faults_) all += (all.empty() ? "" : "\n") + line;
    if (dropped_ > 0) all += fmt::format("\n... and {} more", dropped_);
    throw ConfigError(all);
  }

 private:
  static std::string place(const std::string& file, int line, int column) {
    return fmt::format("{}:{}:{}", file, line, column);
  }

  void fault(const std::string& where, std::string_view key, std::string_view text) {
    faulty_.emplace(key);
    if (faults_.size() >= kMaxFaults)
      ++dropped_;
    else
      faults_.push_back(key.empty() ? fmt::format("{}: {}", where, text)
                                    : fmt::format("{}: {}: {}", where, key, text));
  }

  void unknown(const std::string& where, const std::string& section, const std::string& leaf) {
    // The search for a suggestion is the most expensive part of a fault: skipped if the fault will
    // not be reported.
    const std::string meant =
        faults_.size() < kMaxFaults ? nearest_key(section, leaf, fields_) : std::string();
    faulty_.insert(meant);  // faults of that key follow from this one
    fault(where, printable((section.empty() ? "" : section + ".") + leaf, 120),
          "unknown key" + did_you_mean(meant));
  }

  void set(const Field& field, const YamlNode& node, const std::string& key_place,
           const std::string& value_place) {
    origins_[field.key] = key_place;
    if (const auto what = assign(field, node)) fault(value_place, field.key, *what);
  }

  void set(const Field& field, const YamlNode& node, const std::string& file) {
    set(field, node, place(file, node.key_line, node.key_column),
        place(file, node.line, node.column));
  }

  void top_level(const YamlNode& node, const std::string& file) {
    if (const auto at = by_key_.find(node.key);
        at != by_key_.end() && at->second->section().empty())
      return set(*at->second, node, file);
    const bool known = std::find(sections_.begin(), sections_.end(), node.key) != sections_.end();
    if (known && node.kind != YamlNode::Kind::map && node.kind != YamlNode::Kind::null)
      return fault(place(file, node.line, node.column), node.key,
                   "is a section; write its keys below it, indented");
    if (known) return section(node, node.key, file);
    const std::string where = place(file, node.key_line, node.key_column);
    if (node.key == "<<") return fault(where, "<<", "merge keys are not supported; use extends");
    if (node.key.find('.') != std::string::npos) return dotted(node.key, where);
    if (node.kind != YamlNode::Kind::map) return unknown(where, "", node.key);
    const std::string meant = nearest_word(node.key, sections_);
    fault(where, printable(node.key, 120), "unknown section" + did_you_mean(meant));
    if (!meant.empty()) section(node, meant, file);  // so that its faults are reported too
  }

  // A key with a dot, as on the command line, is an error in a file.
  void dotted(const std::string& key, const std::string& where) {
    const size_t dot = key.find('.');
    const bool known = by_key_.contains(key);
    const std::string meant = known ? key
                              : faults_.size() < kMaxFaults
                                  ? nearest_key(key.substr(0, dot), key.substr(dot + 1), fields_)
                                  : std::string();
    faulty_.insert(meant);
    const size_t middle = meant.find('.');
    const std::string way = middle == std::string::npos
                                ? std::string(
                                      "in a file, write the section on a line of its own and its "
                                      "keys below it, indented")
                                : fmt::format("in a file, write it nested: {}: {{{}: ...}}",
                                              meant.substr(0, middle), meant.substr(middle + 1));
    fault(where, printable(key, 120),
          known ? way : fmt::format("unknown key{}; {}", did_you_mean(meant), way));
  }

  void section(const YamlNode& node, const std::string& name, const std::string& file) {
    for (const YamlNode& child : node.children) {
      const auto at = by_key_.find(name + "." + child.key);
      if (at != by_key_.end())
        set(*at->second, child, file);
      else
        unknown(place(file, child.key_line, child.key_column), name, child.key);
    }
  }

  void extend(const YamlNode& node, const Path& path, const std::string& file) {
    const std::string where = place(file, node.line, node.column);
    const auto refuse = [&](std::string_view what) { fault(where, "extends", what); };
    if (node.kind != YamlNode::Kind::scalar || node.text.empty())
      return refuse("expects the path of a config file");
    if (path.empty()) return refuse("only a file can extend another");
    const Path parent(node.text);
    if (parent.is_absolute()) return refuse("expects a path relative to this file");
    const Path resolved = (path.parent_path() / parent).lexically_normal();
    if (chain_.empty()) chain_.insert(identity(path));
    if (!chain_.insert(identity(resolved)).second)
      return refuse(fmt::format("'{}' extends itself", printable(node.text)));
    if (chain_.size() > kMaxExtends)
      return refuse(fmt::format("the chain of extends is longer than {} files", kMaxExtends));
    read_file_at(resolved, where + ": extends");
  }

  static std::string identity(const Path& path) {
    std::error_code ignored;
    const Path real = std::filesystem::weakly_canonical(path, ignored);
    return real.empty() ? path.string() : real.string();
  }

  // A plain word is taken literally, since a path may hold any character; a list or quoted text is
  // parsed as YAML.
  void override_field(const Field& field, const std::string& text) {
    const std::string where(kCommandLine);
    YamlNode node;
    if (!text.empty() && std::string_view("[{\"'").find(text[0]) != std::string_view::npos) {
      YamlDocument document = parse_yaml(text);
      for (const YamlFault& f : document.faults) fault(where, field.key, f.text);
      if (!document.faults.empty()) return;
      node = std::move(document.root);
    } else if (!text.empty()) {
      node.kind = YamlNode::Kind::scalar;
      node.text = text;
    }
    set(field, node, where, where);
  }

  Config config_;
  std::vector<Field> fields_;
  std::map<std::string, const Field*, std::less<>> by_key_;
  std::vector<std::string_view> sections_;
  std::map<std::string, std::string> origins_;  // key → where it was set last
  std::set<std::string> faulty_;                // keys and sections
  std::set<std::string> chain_;                 // files being read
  std::vector<std::string> faults_;
  size_t dropped_ = 0;
  bool unread_ = false;  // a file, or the rest of one after a fault
};

}  // namespace

Config load_config(const Path& path, std::span<const std::string> overrides, Use use) {
  Loader loader;
  loader.read_file_at(path, "config");
  for (const std::string& text : overrides) loader.override_with(text);
  loader.cross_check(path.string(), use);
  return loader.finish();
}

Config parse_config(std::string_view text, const std::string& name,
                    std::span<const std::string> overrides, Use use) {
  Loader loader;
  loader.read_text(text, {}, name);
  for (const std::string& override_text : overrides) loader.override_with(override_text);
  loader.cross_check(name, use);
  return loader.finish();
}

std::string effective_yaml(const Config& config) {
  Config copy = config;
  std::string out, section;
  for (const Field& field : fields_of(copy)) {
    if (field.section() != section) {
      section = field.section();
      out += section + ":\n";
    }
    out += fmt::format("{}{}: {}\n", section.empty() ? "" : "  ", field.leaf(), value_text(field));
  }
  return out;
}

}  // namespace birkhoff
