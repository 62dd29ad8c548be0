#include "engine/train/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file_system.h"
#include "base/hash.h"
#include "engine/checkpoint/checkpoint.h"

namespace birkhoff {
namespace {

[[noreturn]] void refuse(const Path& path, std::string_view why) {
  throw ResourceError(fmt::format("run directory {}: {}", printable(path.string()), why));
}

std::string unwritable(std::string_view why) {
  return fmt::format("cannot be written to: {}; set run.dir to a writable directory", why);
}

std::string own_name() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return fmt::format("pid {} on host {}\n", ::getpid(), host);
}

// Locks the file `lock` of the directory and writes the holder's name into it. The file stays when
// the run ends: removing it would let two processes lock two files of one name.
Descriptor lock(const Path& path) {
  Descriptor fd;
  try {
    fd = Descriptor(open_output(path / "lock", O_RDWR | O_CREAT));
  } catch (const ResourceError& e) {
    refuse(path, unwritable(e.what()));
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
  } else if (errno != EWOULDBLOCK) {
    warn_without(Guarantee::lock, path / "lock", errno);
  } else {
    char holder[300] = {};
    const ssize_t n = ::pread(fd.get(), holder, sizeof holder - 1, 0);
    const std::string_view name = n > 0 ? std::string_view(holder, size_t(n)) : "another process";
    refuse(path, fmt::format("is in use by {}; stop that run, or set run.dir to another directory",
                             printable(name.substr(0, name.find('\n')))));
  }
  const std::string name = own_name();
  if (::ftruncate(fd.get(), 0) != 0) refuse(path, unwritable(std::strerror(errno)));
  for (size_t at = 0; at < name.size();) {
    const ssize_t n = ::pwrite(fd.get(), name.data() + at, name.size() - at, off_t(at));
    if (n < 0) refuse(path, unwritable(std::strerror(errno)));
    at += size_t(n);
  }
  return fd;
}

// The hash of the run's tokenizer.json; empty if it is a link, is no file, or is too large for one.
std::string tokenizer_hash(const Path& run) {
  try {
    const InputFile file = Directory(run).open(std::string(kTokenizerName));
    if (file.size() > kMaxTokenizer) return {};
    std::vector<std::byte> bytes(file.size());
    file.read(0, bytes);
    return hash128(bytes);
  } catch (const ResourceError&) {
    return {};
  }
}

// Whether there is something that a new run would overwrite or mix with. What cannot be read
// counts.
bool holds_a_run(const Path& path) {
  std::error_code error;
  const auto exists = [&](const Path& p) {
    return std::filesystem::exists(std::filesystem::symlink_status(p, error));
  };
  const Path metrics = path / "metrics.jsonl", checkpoints = path / "checkpoints";
  return (exists(metrics) && !std::filesystem::is_empty(metrics, error)) ||
         (exists(checkpoints) && !std::filesystem::is_empty(checkpoints, error));
}

Descriptor open_directory(const Path& path) {
  return Descriptor(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// The kernel's current name of an open directory, "… (deleted)" if it has none; empty without
// /proc.
Path name_of(const Descriptor& directory) {
  std::error_code error;
  return std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", directory.get()), error);
}

// Whether nothing, or an empty directory, is at the path.
bool is_free(const Path& path) {
  std::error_code error;
  const auto type = std::filesystem::symlink_status(path, error).type();
  return type == std::filesystem::file_type::not_found ||
         (type == std::filesystem::file_type::directory && std::filesystem::is_empty(path, error) &&
          !error);
}

}  // namespace

RunDirectory::RunDirectory(Path path, Descriptor directory, Descriptor lock)
    : path_(std::move(path)), directory_(std::move(directory)), lock_(std::move(lock)) {
  struct stat s;
  if (directory_.get() < 0 || ::fstat(directory_.get(), &s) != 0) return;
  device_ = s.st_dev, inode_ = s.st_ino;
  real_ = name_of(directory_);
}

RunDirectory RunDirectory::open(const Path& path) {
  if (path.empty()) throw ResourceError("run.dir is empty; set it to a writable directory");
  try {
    make_durable_directories(path);
  } catch (const ResourceError& e) {
    refuse(path, unwritable(e.what()));
  }
  Descriptor directory = open_directory(path);
  return {path, std::move(directory), lock(path)};
}

RunDirectory RunDirectory::join(const Path& path) { return {path, Descriptor(), Descriptor()}; }

bool RunDirectory::is_at(const Path& path) const {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && s.st_dev == device_ && s.st_ino == inode_;
}

RunDirectory::Moved RunDirectory::follow() {
  if (directory_.get() < 0 || is_at(path_)) return {};
  const Path now = name_of(directory_), before = path_;
  std::error_code error;
  // Some network file systems give a directory another inode number now and then.
  if (!now.empty() && now == real_ && std::filesystem::is_directory(path_, error)) return {};
  if (!now.empty() && is_at(now)) {
    path_ = real_ = now;
    return {Moved::renamed,
            fmt::format("run directory {} was moved to {} during the run; the run continues there",
                        printable(before.string()), printable(now.string()))};
  }
  Path place = before.has_filename() ? before : before.parent_path();
  for (int n = 2; !is_free(place); ++n) place = before.string() + fmt::format("-{}", n);
  *this = open(place);
  return {Moved::anew,
          fmt::format("run directory {} was removed during the run; the run continues in the new "
                      "directory {}; earlier checkpoints and metrics are lost",
                      printable(before.string()), printable(place.string()))};
}

void RunDirectory::require_no_run() const {
  if (holds_a_run(path_))
    refuse(path_,
           "already holds a run; set run.dir to another directory, remove this one, or resume the "
           "run: run.resume=auto");
}

void RunDirectory::write_config(std::string_view yaml) const {
  write_file(path_ / "config.yaml", yaml);
}

void RunDirectory::write_tokenizer(const ModelTokenizer& now, const ModelTokenizer& before) const {
  const Path path = path_ / kTokenizerName;
  const bool wanted = now.identity && now.identity->has_file();
  if (std::filesystem::exists(std::filesystem::symlink_status(path))) {
    const std::string found = tokenizer_hash(path_);
    if (wanted && found == now.identity->hash) return;
    const bool old = before.identity && !found.empty() && found == before.identity->hash;
    if (!old && !wanted) return;  // not this run's file
    if (!old)
      throw DataError(
          fmt::format("{} is not this run's tokenizer {}: it was changed or replaced; move it "
                      "away, and it is written again",
                      printable(path.string()), to_string(*now.identity)));
    if (!wanted) std::filesystem::remove(path);
  }
  if (wanted) write_file(path, now.json);
}

Path RunDirectory::checkpoint(int64_t step) const {
  return path_ / "checkpoints" / checkpoint_name(step);
}

Path RunDirectory::log(int rank) const {
  return path_ / "log" / fmt::format("rank-{:04d}.log", rank);
}

Path RunDirectory::trace(int rank) const {
  return path_ / "trace" / fmt::format("rank-{:04d}.json", rank);
}

}  // namespace birkhoff
