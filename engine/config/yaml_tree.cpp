// yaml-cpp 0.7.0 is used only through its events: its own tree expands merges, keeps duplicate keys
// and needs a document's end to be found. Its events have holes too, hence the checks here: a
// quoted scalar without its closing quote ends silently at a smaller indentation, byte 0x04 is
// taken for the end of the file, and each level of nesting is a recursion (yaml-cpp stops at 500
// levels; the handler throws at 64, before the next recursion).
#include "engine/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <sstream>
#include <unordered_map>

#include "base/error.h"

namespace birkhoff {
namespace {

// Ends reading; the fault is already recorded.
struct Stop {};

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, YamlDocument& document) : document_(document) {
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      lines_.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) stop(mark, "text after the end of the document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    properties_ = false;
    YamlNode node;
    if (Level* level = map_awaiting_value()) {  // a missing value has the next token's mark
      node.line = level->key_line;
      node.column = level->key_column;
    } else {
      place(mark, node);
    }
    add(std::move(node), mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fault(mark, "aliases are not supported; write the value out");
    OnNull(mark, 0);
  }

  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    fault(mark, "anchors are not supported; write the value out");
    properties_ = true;
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.text = value;
    place(mark, node);
    const std::string_view source = source_at(mark);
    node.quoted = source.starts_with('"') || source.starts_with('\'');
    if (properties_) {
      properties_ = false;  // an anchor, reported
    } else if (tag != "?" && (tag != "!" || source.starts_with('!'))) {
      fault(mark, "tags are not supported; remove the tag");
    } else if (source.starts_with('|') || source.starts_with('>')) {
      fault(mark, "block scalars are not supported; write the text in quotes on one line");
    } else if (node.quoted ? !closes(source) : source.substr(0, value.size()) != value) {
      // Does not go on: what follows may or may not have been read as part of the scalar.
      stop(mark,
           node.quoted ? "a quoted text must end on its line" : "a value must end on its line");
    }
    add(std::move(node), mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    YamlNode node;
    bool has_key = false;  // map: the next node is the value of `key`
    std::string key;
    int key_line = 1, key_column = 1;
    std::unordered_map<std::string, int> seen;  // key → line
  };

  static void place(const YAML::Mark& mark, YamlNode& node) {
    node.line = mark.line + 1;
    node.column = mark.column + 1;
  }

  std::string_view source_at(const YAML::Mark& mark) const {
    const auto line = static_cast<size_t>(mark.line), column = static_cast<size_t>(mark.column);
    if (line >= lines_.size() || column > lines_[line].size()) return {};
    return lines_[line].substr(column);
  }

  static bool closes(std::string_view source) {
    const char quote = source[0];
    for (size_t i = 1; i < source.size(); ++i) {
      const bool escape = quote == '"' && source[i] == '\\';
      if (escape || (quote == '\'' && source.substr(i, 2) == "''"))
        ++i;
      else if (source[i] == quote)
        return true;
    }
    return false;
  }

  Level* map_awaiting_value() {
    if (levels_.empty() || levels_.back().node.kind != YamlNode::Kind::map) return nullptr;
    return levels_.back().has_key ? &levels_.back() : nullptr;
  }

  std::string path() const {
    std::string out;
    for (const Level& level : levels_) {
      if (level.node.kind != YamlNode::Kind::map || !level.has_key) continue;
      if (!out.empty()) out += '.';
      out += printable(level.key, 60);
    }
    return out;
  }

  void fault(const YAML::Mark& mark, std::string text) {
    document_.faults.push_back({mark.line + 1, mark.column + 1, path(), std::move(text)});
  }
  [[noreturn]] void stop(const YAML::Mark& mark, std::string text) {
    fault(mark, std::move(text));
    throw Stop{};
  }

  void open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
    if (tag != "?" && !properties_) fault(mark, "tags are not supported; remove the tag");
    properties_ = false;
    if (levels_.size() >= static_cast<size_t>(kYamlMaxDepth))
      stop(mark, fmt::format("nested deeper than {} levels", kYamlMaxDepth));
    if (!levels_.empty() && levels_.back().node.kind == YamlNode::Kind::map &&
        !levels_.back().has_key)
      // An unclosed bracket ends up here too: it might have been a key.
      stop(mark, "a key must be plain text, and every bracket must be closed");
    Level level;
    level.node.kind = kind;
    place(mark, level.node);
    levels_.push_back(std::move(level));
  }

  void close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node), YAML::Mark{});
  }

  // Adds a finished node to the innermost open list or map, or makes it the root.
  void add(YamlNode node, const YAML::Mark& mark) {
    if (++nodes_ > kYamlMaxNodes) stop(mark, fmt::format("more than {} values", kYamlMaxNodes));
    if (levels_.empty()) {
      document_.root = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == YamlNode::Kind::list) {
      level.node.children.push_back(std::move(node));
    } else if (!level.has_key) {
      if (node.kind != YamlNode::Kind::scalar) stop(mark, "a key must be plain text");
      level.has_key = true;
      level.key = std::move(node.text);
      level.key_line = node.line;
      level.key_column = node.column;
    } else {
      add_value(level, std::move(node));
    }
  }

  void add_value(Level& level, YamlNode node) {
    const auto [first, is_new] = level.seen.emplace(level.key, level.key_line);
    if (is_new) {
      node.key = level.key;
      node.key_line = level.key_line;
      node.key_column = level.key_column;
      level.node.children.push_back(std::move(node));
    } else {
      document_.faults.push_back({level.key_line, level.key_column, path(),
                                  fmt::format("given twice, first on line {}", first->second)});
    }
    level.has_key = false;
  }

  YamlDocument& document_;
  std::vector<std::string_view> lines_;
  std::vector<Level> levels_;
  size_t nodes_ = 0;
  int documents_ = 0;
  bool properties_ = false;  // an anchor was reported; its node follows
};

// The length of the UTF-8 sequence at `at`, 0 if it is invalid.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 0 || lead > 0xF4 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  if (length == 3 && ((lead == 0xE0 && byte(at + 1) < 0xA0) ||  // overlong
                      (lead == 0xED && byte(at + 1) > 0x9F)))   // surrogate
    return 0;
  if (length == 4 &&
      ((lead == 0xF0 && byte(at + 1) < 0x90) || (lead == 0xF4 && byte(at + 1) > 0x8F)))
    return 0;
  return length;
}

// Refuses, before yaml-cpp sees a byte, whatever it would misread.
bool screen(std::string_view text, YamlDocument& document) {
  int line = 1;
  size_t line_start = 0, signs = 0;
  const auto refuse = [&](size_t at, std::string what) {
    document.faults.push_back({line, static_cast<int>(at - line_start) + 1, "", std::move(what)});
    return false;
  };
  if (text.size() > kYamlMaxBytes)
    return refuse(
        0, fmt::format("has {} bytes, but at most {} are allowed", text.size(), kYamlMaxBytes));
  if (text.starts_with("\xEF\xBB\xBF"))
    return refuse(0, "a byte order mark is not allowed; save the file as plain UTF-8");
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {
      ++line;
      line_start = ++at;
      continue;
    }
    if (text[at] == '%' && at == line_start)
      return refuse(at, "directives are not supported; remove the line");
    if (text[at] == '\t' && text.find_first_not_of(' ', line_start) == at)
      return refuse(at, "a tab is used for indentation; use spaces");
    if (text[at] == '\t' || (text[at] == '\r' && text.substr(at + 1, 1) == "\n")) {
      ++at;
      continue;
    }
    signs += std::string_view("[]{},").find(text[at]) != std::string_view::npos;
    if (signs > kYamlMaxSigns)
      return refuse(at, fmt::format("more than {} brackets and commas", kYamlMaxSigns));
    const size_t length = utf8_length(text, at);
    if (const std::string what = text_fault(text.substr(at, std::max<size_t>(length, 1)));
        !what.empty())
      return refuse(at, what);
    at += length;
  }
  return true;
}

}  // namespace

std::string text_fault(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x20 || byte == 0x7F) return fmt::format("control character 0x{:02x}", byte);
    const size_t length = utf8_length(text, at);
    if (length == 0) return fmt::format("byte 0x{:02x} is not UTF-8", byte);
    at += length;
  }
  return {};
}

YamlDocument parse_yaml(std::string_view text) {
  YamlDocument document;
  document.whole = screen(text, document);
  if (!document.whole) return document;
  TreeBuilder builder(text, document);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    // Called twice, not in a loop: the second call finds what follows the document, and yaml-cpp
    // makes no progress on some texts, so that a loop would not end.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const Stop&) {
    document.whole = false;
  } catch (const YAML::Exception& e) {
    document.whole = false;
    document.faults.push_back(
        {e.mark.line + 1, e.mark.column + 1, "", "not YAML: " + printable(e.msg)});
  }
  return document;
}

}  // namespace birkhoff
