#include "tests/faults/recording.h"

#include <cstring>
#include <sstream>

#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

size_t run_count = 0;

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, '\t');) fields.push_back(field);
  check(fields.size() == 7, "a line of the shim's log: '{}'", line);
  return fields;
}

std::vector<FileCall> read_calls(const Path& log, const Path& data) {
  std::vector<FileCall> calls;
  std::istringstream lines(slurp(log));
  const std::string bytes = slurp(data);
  size_t at = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> f = fields_of(line);
    FileCall call{.rank = std::stoi(f[0]),
                  .number = std::stoul(f[1]),
                  .operation = f[2],
                  .result = std::stoll(f[3]),
                  .path = f[4],
                  .second = f[5],
                  .offset = std::stoul(f[6]),
                  .bytes = {}};
    if (call.operation == "write" && call.result > 0) {
      call.bytes = bytes.substr(at, size_t(call.result));
      at += size_t(call.result);
    }
    calls.push_back(std::move(call));
  }
  check(at == bytes.size(), "the shim's log tells of {} of {} bytes", at, bytes.size());
  return calls;
}

}  // namespace

std::string to_string(const Fault& f) {
  if (f.kind.empty()) return fmt::format("room for {} bytes", f.room);
  return fmt::format("{} at call {}{}{}", f.kind, f.at,
                     f.kind == "fail" ? fmt::format(" with {}", std::strerror(f.error)) : "",
                     f.forever ? " and ever after" : "");
}

std::string to_string(const FileCall& c) {
  return fmt::format("{} {} {} ({} bytes)", c.operation, c.path, c.second, c.bytes.size());
}

size_t runs() { return run_count; }

Finished run_with(const Fault& fault, const Path& directory, Command command, int seconds) {
  ++run_count;
  Command all = {"/usr/bin/env", "LD_PRELOAD=" FAULT_SHIM, "FAULT_DIR=" + directory.string()};
  if (!fault.kind.empty()) {
    all.push_back("FAULT_KIND=" + fault.kind);
    all.push_back(fmt::format("FAULT_AT={}", fault.at));
    all.push_back(fmt::format("FAULT_ERRNO={}", fault.error));
  }
  if (fault.forever) all.push_back("FAULT_FAIL_ON=forever");
  if (fault.room >= 0) all.push_back(fmt::format("FAULT_ROOM={}", fault.room));
  if (fault.no_lock) all.push_back(fmt::format("FAULT_NO_LOCK={}", fault.no_lock));
  if (fault.no_directory_flush)
    all.push_back(fmt::format("FAULT_NO_DIRECTORY_FLUSH={}", fault.no_directory_flush));
  if (fault.rank >= 0) all.push_back(fmt::format("FAULT_RANK={}", fault.rank));
  all.insert(all.end(), command.begin(), command.end());
  return run_program(all, seconds);
}

Recording record(const Path& directory, const Command& command, const Fault& fault) {
  const Scratch scratch;
  const Path log = scratch / "log", data = scratch / "data";
  Command all = {"/usr/bin/env", "FAULT_LOG=" + log.string(), "FAULT_DATA=" + data.string()};
  all.insert(all.end(), command.begin(), command.end());
  Recording recording;
  recording.finished = run_with(fault, directory, all);
  recording.calls = read_calls(log, data);
  return recording;
}

Command over_mpi(int ranks, const Command& command) {
  Command all = {"/usr/bin/mpirun", "--allow-run-as-root", "--oversubscribe", "-np",
                 fmt::format("{}", ranks)};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

int64_t committed_by(const FileCall& call) {
  if (call.operation != "write" || !call.path.ends_with(".log")) return 0;
  const size_t saved = call.bytes.find(": saved");
  const size_t step = call.bytes.rfind("step ", saved);
  return saved == call.bytes.npos || step == call.bytes.npos
             ? 0
             : std::stoll(call.bytes.substr(step + 5));
}

size_t stride_of(size_t stride) {
  const char* asked = std::getenv("BIRKHOFF_FAULTS");
  return asked && std::string(asked) == "all" ? 1 : stride;
}

}  // namespace birkhoff::testing
