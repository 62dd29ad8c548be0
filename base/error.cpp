#include "base/error.h"

namespace birkhoff {

void throw_error(ExitCode code, const std::string& what) {
  switch (code) {
    case ExitCode::config:
      throw ConfigError(what);
    case ExitCode::data:
      throw DataError(what);
    case ExitCode::checkpoint:
      throw CheckpointError(what);
    case ExitCode::resource:
      throw ResourceError(what);
    case ExitCode::peer:
      throw PeerError(what);
    case ExitCode::hang:
      throw HangError(what);
    case ExitCode::numeric:
      throw NumericError(what);
    case ExitCode::ok:
    case ExitCode::internal:
    case ExitCode::preempted:
      break;
  }
  throw InternalError(what);
}

std::string printable(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F)
      out += c;
    else
      out += fmt::format("\\x{:02x}", byte);
  }
  if (text.size() > limit) out += "...";
  return out;
}

}  // namespace birkhoff
