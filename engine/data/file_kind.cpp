#include "engine/data/file_kind.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace birkhoff {
namespace {

using namespace std::string_view_literals;

struct Magic {
  size_t offset;
  std::string_view bytes;
  FileKind kind;
  // Text may begin with these bytes: they count only if the head is not text as a whole.
  bool is_text = false;
};

constexpr std::string_view kUtf16 = "iconv -f UTF-16 -t UTF-8", kUtf32 = "iconv -f UTF-32 -t UTF-8";
constexpr std::array kMagics = {
    Magic{0, "\x1F\x8B"sv, {"gzip", "zcat"}},
    Magic{0, "\x1F\x9D"sv, {"compress", "zcat"}},
    Magic{0, "\x28\xB5\x2F\xFD"sv, {"zstd", "zstdcat"}},
    Magic{0, "\xFD\x37zXZ\0"sv, {"xz", "xzcat"}},
    Magic{0, "BZh"sv, {"bzip2", "bzcat"}, true},
    Magic{0, "\x04\x22\x4D\x18"sv, {"lz4", "lz4cat"}},
    Magic{0, "LZIP"sv, {"lzip", "lzip -dc"}, true},
    Magic{0, "PK\x03\x04"sv, {"zip", "unzip -p"}},
    Magic{0, "PK\x05\x06"sv, {"zip", "unzip -p"}},
    Magic{0, "7z\xBC\xAF\x27\x1C"sv, {"7z", "7z x -so"}},
    Magic{0, "Rar!\x1A\x07"sv, {"rar", ""}},
    Magic{257, "ustar"sv, {"tar", "tar -xOf"}, true},
    Magic{0, "PAR1"sv, {"Parquet", ""}, true},
    Magic{0, "PARE"sv, {"Parquet", ""}, true},
    Magic{0, "ARROW1"sv, {"Arrow", ""}, true},
    Magic{0, "FEA1"sv, {"Feather", ""}, true},
    Magic{0, "ORC"sv, {"ORC", ""}, true},
    Magic{0, "Obj\x01"sv, {"Avro", ""}},
    Magic{0, "\x89HDF\r\n\x1A\n"sv, {"HDF5", ""}},
    Magic{0, "\x93NUMPY"sv, {"NumPy", ""}},
    Magic{0, "SQLite format 3\0"sv, {"SQLite", ""}},
    Magic{0, "MMIDIDX\0"sv, {"dataset index", ""}},
    Magic{0, "%PDF-"sv, {"PDF", ""}},
    Magic{0, "\xFF\xFE\0\0"sv, {"UTF-32", kUtf32}},
    Magic{0, "\0\0\xFE\xFF"sv, {"UTF-32", kUtf32}},
    Magic{0, "\xFF\xFE"sv, {"UTF-16", kUtf16}},
    Magic{0, "\xFE\xFF"sv, {"UTF-16", kUtf16}},
};

// The head may end in the middle of a character.
bool is_text(std::string_view head) {
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && "\t\n\v\f\r"sv.find(c) == std::string_view::npos;
  };
  return std::none_of(head.begin(), head.end(), is_control) && !Utf8Check().feed(head);
}

}  // namespace

std::optional<FileKind> kind_of_file(std::string_view head) {
  head = head.substr(0, 512);
  for (const Magic& magic : kMagics) {
    if (head.size() < magic.offset || !head.substr(magic.offset).starts_with(magic.bytes)) continue;
    if (!magic.is_text || !is_text(head)) return magic.kind;
  }
  return std::nullopt;
}

}  // namespace birkhoff
