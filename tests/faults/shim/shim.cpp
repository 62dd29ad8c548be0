#include "tests/faults/shim/shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace birkhoff::fault {
namespace {

enum class Kind { none, fail, shorter, torn, kill_before, kill_after };

struct Settings {
  char directory[PATH_MAX] = {};  // empty: the shim is off
  Kind kind = Kind::none;
  long at = 0;
  int error = EIO;
  bool forever = false;
  long room = -1;  // −1: no limit
  int no_lock = 0, no_directory_flush = 0;
  int log = -1, data = -1;
  int rank = 0;
};

Settings settings;
long calls = 0;
pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

[[noreturn]] void give_up(const char* why) {
  dprintf(2, "fault shim: %s\n", why);
  _exit(125);
}

const char* variable(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

Kind kind_of(const char* name) {
  constexpr const char* kNames[] = {"", "fail", "short", "torn", "kill_before", "kill_after"};
  for (int k = 0; k < 6; ++k) {
    if (strcmp(name, kNames[k]) == 0) return Kind(k);
  }
  give_up("unknown FAULT_KIND");
}

int open_log(const char* name) {
  if (!*name) return -1;
  const long fd =
      syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) give_up("cannot open FAULT_LOG or FAULT_DATA");
  // Moves it out of the way of programs that expect certain numbers for their first descriptors.
  const int moved = fcntl(int(fd), F_DUPFD_CLOEXEC, 500);
  syscall(SYS_close, fd);
  return moved;
}

__attribute__((constructor)) void read_settings() {
  const char* rank = variable("OMPI_COMM_WORLD_RANK");
  settings.rank = atoi(rank);
  if (*variable("FAULT_RANK") && strcmp(variable("FAULT_RANK"), rank) != 0) return;
  if (!*variable("FAULT_DIR")) return;
  settings.kind = kind_of(variable("FAULT_KIND"));
  settings.at = atol(variable("FAULT_AT"));
  if (*variable("FAULT_ERRNO")) settings.error = atoi(variable("FAULT_ERRNO"));
  settings.forever = strcmp(variable("FAULT_FAIL_ON"), "forever") == 0;
  if (*variable("FAULT_ROOM")) settings.room = atol(variable("FAULT_ROOM"));
  settings.no_lock = atoi(variable("FAULT_NO_LOCK"));
  settings.no_directory_flush = atoi(variable("FAULT_NO_DIRECTORY_FLUSH"));
  settings.log = open_log(variable("FAULT_LOG"));
  settings.data = open_log(variable("FAULT_DATA"));
  char resolved[PATH_MAX];
  if (!realpath(variable("FAULT_DIR"), resolved)) give_up("FAULT_DIR is no directory");
  memcpy(settings.directory, resolved, sizeof resolved);
}

// Serialises calls: other processes wait for the log's lock, threads of this one for the mutex.
struct Turn {
  Turn() {
    pthread_mutex_lock(&one_at_a_time);
    if (settings.log >= 0) syscall(SYS_flock, settings.log, LOCK_EX);
  }
  ~Turn() {
    const int error = errno;
    if (settings.log >= 0) syscall(SYS_flock, settings.log, LOCK_UN);
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
  }
};

[[noreturn]] void die() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

long refused(int error) {
  errno = error;
  return -1;
}

void append(int fd, const void* bytes, size_t count) {
  if (fd >= 0 && count > 0 && syscall(SYS_write, fd, bytes, count) != long(count))
    give_up("cannot write FAULT_LOG or FAULT_DATA");
}

void record(const Call& call, long result) {
  const int error = errno;
  char line[2 * PATH_MAX + 200];
  const long offset = call.bytes && call.offset < 0 && result >= 0
                          ? lseek(call.descriptor, 0, SEEK_CUR) - result
                          : call.offset;
  const int n = snprintf(line, sizeof line, "%d\t%ld\t%s\t%ld\t%s\t%s\t%ld\n", settings.rank, calls,
                         call.operation, result < 0 ? -long(error) : result, call.place->path,
                         call.second, offset);
  append(settings.log, line, size_t(n));
  if (call.bytes && result > 0) append(settings.data, call.bytes, size_t(result));
  errno = error;
}

// Number of bytes of a write that the disk still has room for.
size_t within_room(const Call& call) {
  if (settings.room < 0) return call.count;
  return call.count < size_t(settings.room) ? call.count : size_t(settings.room);
}

void account(const Call& call, long result) {
  if (settings.room < 0 || result < 0) return;
  settings.room += call.gives_back - (call.bytes ? result : 0);
}

bool now_or_later(const Call& call) {
  if (calls == settings.at) return true;
  if (!settings.forever || calls < settings.at) return false;
  if (settings.kind == Kind::shorter) return true;
  const bool full = settings.error == ENOSPC || settings.error == EDQUOT;
  return settings.kind == Kind::fail && call.takes >= (full ? Takes::room : Takes::change);
}

// The path after "<directory>/", or null.
const char* beneath(const char* path) {
  const size_t n = strlen(settings.directory);
  if (n == 0 || strncmp(path, settings.directory, n) != 0) return nullptr;
  if (path[n] == '\0') return ".";
  return path[n] == '/' ? path + n + 1 : nullptr;
}

void place_at(Place& place, const char* path) {
  const char* relative = beneath(path);
  if (!relative) return;
  place.inside = true;
  memmove(place.path, relative, strlen(relative) + 1);
}

bool path_of_descriptor(int descriptor, char* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const long n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return path[0] == '/';
}

}  // namespace

void find_descriptor(Place& place, int descriptor) {
  place.inside = false;
  if (!settings.directory[0]) return;
  const int error = errno;
  char path[PATH_MAX];
  if (path_of_descriptor(descriptor, path)) place_at(place, path);
  errno = error;
}

void find_name(Place& place, int directory, const char* name) {
  place.inside = false;
  if (!settings.directory[0] || !name || !*name) return;
  const int error = errno;
  char path[2 * PATH_MAX] = {}, parent[PATH_MAX];
  if (name[0] != '/' && directory != AT_FDCWD && !path_of_descriptor(directory, path)) return;
  if (name[0] != '/' && directory == AT_FDCWD && !getcwd(path, PATH_MAX)) return;
  const size_t n = strlen(path);
  snprintf(path + n, sizeof path - n, "%s%s", n ? "/" : "", name);
  for (size_t end = strlen(path); end > 1 && path[end - 1] == '/';) path[--end] = '\0';
  // The last part is not resolved: it may be a link, or may not exist yet.
  char* slash = strrchr(path, '/');
  const char* last = slash + 1;
  if (*last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
    if (realpath(path, parent)) place_at(place, parent);
  } else {
    *slash = '\0';
    if (realpath(slash == path ? "/" : path, parent) &&
        strlen(parent) + strlen(last) + 2 < PATH_MAX) {
      char whole[2 * PATH_MAX];
      snprintf(whole, sizeof whole, "%s/%s", parent[1] ? parent : "", last);
      place_at(place, whole);
    }
  }
  errno = error;
}

int no_lock() { return settings.no_lock; }
int no_directory_flush() { return settings.no_directory_flush; }

long counted(const Call& call, long (*real)(void* context, size_t count), void* context) {
  if (!call.place->inside) return real(context, call.count);
  const Turn turn;
  ++calls;
  const Kind kind = now_or_later(call) ? settings.kind : Kind::none;
  const size_t half = call.count / 2;
  size_t count = within_room(call);
  if (kind == Kind::kill_before || (kind == Kind::torn && half == 0)) die();
  long result = -1;
  if (kind == Kind::fail) {
    result = refused(settings.error);
  } else if (call.count > 0 && count == 0) {
    result = refused(ENOSPC);
  } else {
    if ((kind == Kind::shorter || kind == Kind::torn) && half > 0 && half < count) count = half;
    result = real(context, count);
  }
  account(call, result);
  record(call, result);
  if (kind == Kind::torn || kind == Kind::kill_after) die();
  return result;
}

}  // namespace birkhoff::fault
