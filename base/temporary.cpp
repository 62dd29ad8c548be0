#include "base/temporary.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/directory.h"

namespace birkhoff {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
constexpr std::string_view kMark = ".tmp-";
constexpr int kMaxDepth = 8;  // deepest nesting that is removed with a temporary directory

// A path that the signal handler removes. `path` is written only while `set` is false.
struct Slot {
  std::atomic<bool> taken = false, set = false;
  char path[4096] = {};
};
std::array<Slot, 32> slots;
static_assert(std::atomic<bool>::is_always_lock_free);

// The record of getdents64(2), which has no header.
struct Entry {
  uint64_t inode;
  int64_t next;
  uint16_t size;
  uint8_t type;
  char name[1];
};

// Removes a file, or a directory with its contents. Async-signal-safe: it makes only system calls.
void remove_tree(int directory, const char* name, int depth) {
  if (::unlinkat(directory, name, 0) == 0 || errno == ENOENT || depth == 0) return;
  const int fd = ::openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  alignas(Entry) char buffer[2048];
  for (long n; (n = ::syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0;) {
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->size;
      const char* inner = entry->name;
      const bool is_dots = inner[0] == '.' && (!inner[1] || (inner[1] == '.' && !inner[2]));
      if (!is_dots) remove_tree(fd, inner, depth - 1);
    }
  }
  ::close(fd);
  ::unlinkat(directory, name, AT_REMOVEDIR);
}

extern "C" void on_end_signal(int signal) {
  for (const Slot& slot : slots)
    if (slot.set.load(std::memory_order_acquire)) remove_tree(AT_FDCWD, slot.path, kMaxDepth);
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  ::raise(signal);  // delivered when this handler returns
}

int claim(const Path& path) {
  if (path.native().size() >= sizeof(Slot::path)) return -1;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true)) continue;
    std::memcpy(slots[i].path, path.c_str(), path.native().size() + 1);
    slots[i].set.store(true, std::memory_order_release);
    return int(i);
  }
  return -1;
}

// The PID in a name like FILE.tmp-1234.
std::optional<pid_t> process_of(std::string_view name, std::string_view file) {
  if (!name.starts_with(file)) return {};
  name.remove_prefix(file.size());
  if (!name.starts_with(kMark)) return {};
  name.remove_prefix(kMark.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc() || end != name.data() + name.size() || name[0] == '0' || pid <= 0)
    return {};
  return pid;
}

bool is_gone(pid_t pid) { return pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH); }

void remove_if_unlocked(const Path& path, std::span<const FileId> keep) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat s;
  if (fd.get() < 0 || ::fstat(fd.get(), &s) != 0 || !S_ISREG(s.st_mode)) return;
  const FileId id{uint64_t(s.st_dev), uint64_t(s.st_ino)};
  if (std::find(keep.begin(), keep.end(), id) != keep.end()) return;
  if (lock_file(fd.get()) == FileLock::held) ::unlink(path.c_str());
}

}  // namespace

Temporary::Temporary(const Path& path) : path_(path), slot_(claim(path)) {}

void Temporary::release() {
  released_ = true;
  if (slot_ < 0) return;
  slots[size_t(slot_)].set.store(false);
  slots[size_t(slot_)].taken.store(false);
  slot_ = -1;
}

Temporary::~Temporary() {
  if (!released_) remove_tree(AT_FDCWD, path_.c_str(), kMaxDepth);
  release();
}

void remove_temporaries_on_signals() {
  struct sigaction action = {};
  action.sa_handler = on_end_signal;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : kSignals) ::sigaddset(&action.sa_mask, signal);
  for (const int signal : kSignals) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
  }
}

DelaySignals::DelaySignals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kSignals) ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
}

DelaySignals::~DelaySignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

Path temporary_path(const Path& path) {
  return path.string() + std::string(kMark) + std::to_string(::getpid());
}

std::unique_ptr<File> create_temporary(const Path& path) {
  auto file = std::make_unique<File>(path, O_WRONLY | O_CREAT | O_EXCL);
  lock_file(file->descriptor());
  return file;
}

void remove_dead_temporaries(const Path& path, std::span<const FileId> keep) {
  const Path directory = path.has_parent_path() ? path.parent_path() : Path(".");
  std::vector<std::string> names;
  try {
    names = Directory(directory).names();
  } catch (const ResourceError&) {
    return;  // the writer itself reports what is wrong with it
  }
  for (const std::string& name : names) {
    const std::optional<pid_t> pid = process_of(name, path.filename().string());
    if (pid && is_gone(*pid)) remove_if_unlocked(directory / name, keep);
  }
}

FileLock lock_file(int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK ? FileLock::held_by_another : FileLock::unsupported;
  }
  return FileLock::held;
}

}  // namespace birkhoff
