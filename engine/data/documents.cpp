#include "engine/data/documents.h"

#include <algorithm>

#include "base/error.h"
#include "engine/data/json_text.h"
#include "engine/data/text_input.h"

namespace birkhoff {
namespace {

using Format = DocumentOptions::Format;
using Split = DocumentOptions::Split;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

bool is_named_jsonl(const Path& file) {
  std::string ending = file.extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return ending == ".json" || ending == ".jsonl" || ending == ".ndjson";
}

bool is_object(std::string_view line) {
  std::string ignored;
  const JsonText::Fault fault = json_text(line, TextField("text"), ignored).fault;
  return fault == JsonText::Fault::none || fault == JsonText::Fault::field;
}

// Whether a line that is cut begins as an object does.
bool begins_as_object(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  if (!line.starts_with('{')) return false;
  const size_t next = line.find_first_not_of(kSpace, 1);
  return next == line.npos || line[next] == '"';
}

// Whether all lines at the beginning of a text are JSON objects. If the text goes on (`is_cut`),
// only the beginning of the last line is checked.
bool is_jsonl(std::string_view text, bool is_cut) {
  bool any = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (is_blank(line)) continue;
    if (is_cut && end == line.npos) return begins_as_object(line);
    if (!is_object(line)) return false;
    any = true;
  }
  return any;
}

void refuse_jsonl_as_text(const TextInput& input) {
  if (is_jsonl(input.head(), input.is_longer_than_head()))
    throw DataError(
        fmt::format("{}: its lines are JSON objects; use --jsonl to read their text, or --text to "
                    "read the lines as they are",
                    input.name()));
}

void read_whole(TextInput& input, const DocumentReader& reader) {
  std::string text;
  for (std::string_view piece; !(piece = input.read()).empty();) {
    text += piece;
    input.check_size(text.size());
  }
  reader.document(text);
}

// The lines up to a separator are a document; is_border says which lines are separators.
template <class IsBorder>
void read_blocks(TextInput& input, const DocumentReader& reader, IsBorder is_border) {
  std::string text, line;
  bool open = false;  // a line of a document has been seen
  const auto close = [&] {
    if (open) reader.document(text);
    text.clear();
    open = false;
  };
  while (input.next_line(line)) {
    if (is_border(line)) {
      close();
      continue;
    }
    if (open) text += '\n';
    text += line;
    open = true;
    input.check_size(text.size());
  }
  close();
}

std::string advice(const std::string& line, JsonText::Fault fault, bool is_first,
                   const TextInput& input) {
  if (is_first && line[line.find_first_not_of(" \t\r\v\f")] == '[')
    return fmt::format("a JSON array is not supported; convert it to one object per line: {}",
                       piped("jq -c '.[]'", input.name(), true));
  std::string text = "fix or remove the line, or skip it (--skip-bad N)";
  if (fault == JsonText::Fault::field) text = "choose another --field, " + text;
  if (is_first && fault == JsonText::Fault::early)
    text += fmt::format("; if an object spans several lines, convert the file: {}",
                        piped("jq -c .", input.name(), true));
  return text;
}

void read_jsonl(TextInput& input, const DocumentReader& reader, const TextField& field) {
  std::string line, text;
  bool is_first = true;
  while (input.next_raw_line(line)) {
    if (is_blank(line)) continue;
    const JsonText found = json_text(line, field, text);
    if (found.fault == JsonText::Fault::none) {
      reader.document(text);
    } else {
      const std::string what = fmt::format("{}: {}; {}", input.place(), found.what,
                                           advice(line, found.fault, is_first, input));
      if (!reader.bad_line) throw DataError(what);
      reader.bad_line(what);
    }
    is_first = false;
  }
}

// A blank line is an empty document.
void read_lines(TextInput& input, const DocumentReader& reader) {
  std::string line;
  while (input.next_line(line)) reader.document(is_blank(line) ? "" : std::string_view(line));
}

}  // namespace

void read_documents(const Path& file, const DocumentOptions& options,
                    const DocumentReader& reader) {
  TextInput input(file, reader.progress);
  const bool automatic = options.format == Format::automatic;
  if (options.format == Format::jsonl || (automatic && is_named_jsonl(file)))
    return read_jsonl(input, reader, TextField(options.field));
  if (automatic) refuse_jsonl_as_text(input);
  switch (options.split) {
    case Split::file:
      return read_whole(input, reader);
    case Split::line:
      return read_lines(input, reader);
    case Split::blank_line:
      return read_blocks(input, reader, is_blank);
    case Split::prefix:
      check(!options.prefix.empty(), "splitting by an empty prefix");
      return read_blocks(input, reader,
                         [&](std::string_view line) { return line.starts_with(options.prefix); });
  }
}

}  // namespace birkhoff
