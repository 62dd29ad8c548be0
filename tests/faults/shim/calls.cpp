// The calls that libfault_shim.so intercepts, under all the names that compilers emit for them.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "tests/faults/shim/shim.h"

namespace birkhoff::fault {
namespace {

int do_open(int directory, const char* name, int flags, mode_t mode) {
  Place place;
  find_name(place, directory, name);
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  struct stat s;
  const bool exists = place.inside && fstatat(directory, name, &s, AT_SYMLINK_NOFOLLOW) == 0;
  const bool creates = (flags & O_CREAT) && !exists;
  const bool cuts = (flags & O_TRUNC) && exists && s.st_size > 0;
  const Call call = {.operation = creates ? "create"
                                  : cuts  ? "cut"
                                          : "open",
                     .place = &place,
                     .second = writes ? "w" : "",
                     .takes = creates  ? Takes::room
                              : writes ? Takes::change
                                       : Takes::nothing};
  return int(counted(
      call, [&](size_t) -> long { return syscall(SYS_openat, directory, name, flags, mode); }));
}

ssize_t do_write(int fd, const void* bytes, size_t count, off_t offset) {  // −1: current position
  Place place;
  find_descriptor(place, fd);
  const Call call = {.operation = "write",
                     .place = &place,
                     .takes = Takes::room,
                     .descriptor = fd,
                     .bytes = bytes,
                     .count = count,
                     .offset = offset};
  return counted(call, [&](size_t n) -> long {
    return offset < 0 ? syscall(SYS_write, fd, bytes, n)
                      : syscall(SYS_pwrite64, fd, bytes, n, offset);
  });
}

int do_flush(int fd, long number) {
  Place place;
  find_descriptor(place, fd);
  struct stat s;
  const bool directory = place.inside && fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
  if (directory && no_directory_flush()) return errno = no_directory_flush(), -1;
  const Call call = {.operation = "flush", .place = &place};
  return int(counted(call, [&](size_t) -> long { return place.inside ? 0 : syscall(number, fd); }));
}

int do_truncate(int fd, off_t length) {
  Place place;
  find_descriptor(place, fd);
  const Call call = {.operation = "truncate", .place = &place, .offset = length};
  return int(counted(call, [&](size_t) { return syscall(SYS_ftruncate, fd, length); }));
}

int do_rename(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) {
  Place source, target;
  find_name(source, from_directory, from);
  find_name(target, to_directory, to);
  const Call call = {.operation = "rename",
                     .place = &source,
                     .second = target.inside ? target.path : "",
                     .takes = Takes::room};
  return int(counted(call, [&](size_t) {
    return syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
  }));
}

int do_mkdir(int directory, const char* name, mode_t mode) {
  Place place;
  find_name(place, directory, name);
  const Call call = {.operation = "mkdir", .place = &place, .takes = Takes::room};
  return int(counted(call, [&](size_t) { return syscall(SYS_mkdirat, directory, name, mode); }));
}

int do_unlink(int directory, const char* name, int flags) {
  Place place;
  find_name(place, directory, name);
  struct stat s;
  const bool last = place.inside && fstatat(directory, name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISREG(s.st_mode) && s.st_nlink == 1;
  const Call call = {.operation = flags & AT_REMOVEDIR ? "rmdir" : "unlink",
                     .place = &place,
                     .gives_back = last ? s.st_size : 0};
  return int(counted(call, [&](size_t) { return syscall(SYS_unlinkat, directory, name, flags); }));
}

int do_link(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  Place source, target;
  find_name(source, from_directory, from);
  find_name(target, to_directory, to);
  const Call call = {.operation = "link",
                     .place = &source,
                     .second = target.inside ? target.path : "",
                     .takes = Takes::room};
  return int(counted(call, [&](size_t) {
    return syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
  }));
}

int do_close(int fd) {
  Place place;
  find_descriptor(place, fd);
  const Call call = {.operation = "close", .place = &place, .takes = Takes::nothing};
  bool closed = false;
  const int result = int(counted(call, [&](size_t) {
    closed = true;
    return syscall(SYS_close, fd);
  }));
  const int error = errno;
  if (!closed) syscall(SYS_close, fd);  // the kernel also closes it, whatever the result
  errno = error;
  return result;
}

// Streams write within libc, unseen by the shim, so a stream on a file of the directory uses our
// calls.
int flags_of_mode(const char* mode) {
  int flags = mode[0] == 'r' ? 0 : O_CREAT | (mode[0] == 'w' ? O_TRUNC : O_APPEND);
  flags |= strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
  if (strchr(mode, 'x')) flags |= O_EXCL;
  if (strchr(mode, 'e')) flags |= O_CLOEXEC;
  return flags;
}

int descriptor_of(void* cookie) { return int(reinterpret_cast<long>(cookie)); }

FILE* do_fopen(const char* name, const char* mode, const char* real) {
  Place place;
  find_name(place, AT_FDCWD, name);
  if (!place.inside || (mode[0] == 'r' && !strchr(mode, '+'))) {
    void* const next = dlsym(RTLD_NEXT, real);
    return reinterpret_cast<FILE* (*)(const char*, const char*)>(next)(name, mode);
  }
  const int fd = do_open(AT_FDCWD, name, flags_of_mode(mode), 0666);
  if (fd < 0) return nullptr;
  cookie_io_functions_t io = {};
  io.read = [](void* c, char* to, size_t n) { return ::read(descriptor_of(c), to, n); };
  io.write = [](void* c, const char* from, size_t n) -> ssize_t {
    const ssize_t done = do_write(descriptor_of(c), from, n, -1);
    return done < 0 ? 0 : done;  // how fopencookie expects an error
  };
  io.seek = [](void* c, off64_t* offset, int whence) {
    const off_t at = lseek(descriptor_of(c), *offset, whence);
    *offset = at;
    return at < 0 ? -1 : 0;
  };
  io.close = [](void* c) { return do_close(descriptor_of(c)); };
  return fopencookie(reinterpret_cast<void*>(long(fd)), mode, io);
}

}  // namespace
}  // namespace birkhoff::fault

using namespace birkhoff::fault;

// Reads the mode of a variadic open, if it has one.
#define FAULT_MODE(flags)                                 \
  mode_t mode = 0;                                        \
  if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) { \
    va_list list;                                         \
    va_start(list, flags);                                \
    mode = va_arg(list, mode_t);                          \
    va_end(list);                                         \
  }

extern "C" {

#define FAULT_OPEN(name)                         \
  int name(const char* path, int flags, ...) {   \
    FAULT_MODE(flags)                            \
    return do_open(AT_FDCWD, path, flags, mode); \
  }
FAULT_OPEN(open)
FAULT_OPEN(open64)
#define FAULT_OPENAT(name)                                    \
  int name(int directory, const char* path, int flags, ...) { \
    FAULT_MODE(flags)                                         \
    return do_open(directory, path, flags, mode);             \
  }
FAULT_OPENAT(openat)
FAULT_OPENAT(openat64)
int __open_2(const char* path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __openat_2(int fd, const char* path, int flags) { return do_open(fd, path, flags, 0); }
int __openat64_2(int fd, const char* path, int flags) { return do_open(fd, path, flags, 0); }

constexpr int kCreat = O_CREAT | O_WRONLY | O_TRUNC;
int creat(const char* path, mode_t mode) { return do_open(AT_FDCWD, path, kCreat, mode); }
int creat64(const char* path, mode_t mode) { return do_open(AT_FDCWD, path, kCreat, mode); }

FILE* fopen(const char* path, const char* mode) { return do_fopen(path, mode, "fopen"); }
FILE* fopen64(const char* path, const char* mode) { return do_fopen(path, mode, "fopen64"); }

ssize_t write(int fd, const void* bytes, size_t n) { return do_write(fd, bytes, n, -1); }
ssize_t pwrite(int fd, const void* bytes, size_t n, off_t at) { return do_write(fd, bytes, n, at); }
ssize_t pwrite64(int fd, const void* bytes, size_t n, off64_t at) {
  return do_write(fd, bytes, n, at);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  Place place;
  find_descriptor(place, fd);
  if (!place.inside) return syscall(SYS_writev, fd, parts, count);
  // Writes only the first non-empty part: a short write, which every caller must expect.
  while (count > 1 && parts->iov_len == 0) ++parts, --count;
  return count < 1 ? 0 : do_write(fd, parts->iov_base, parts->iov_len, -1);
}

int fsync(int fd) { return do_flush(fd, SYS_fsync); }
int fdatasync(int fd) { return do_flush(fd, SYS_fdatasync); }
int flock(int fd, int operation) noexcept {
  Place place;
  find_descriptor(place, fd);
  if (place.inside && no_lock()) return errno = no_lock(), -1;
  return int(syscall(SYS_flock, fd, operation));
}
int ftruncate(int fd, off_t length) noexcept { return do_truncate(fd, length); }
int ftruncate64(int fd, off64_t length) noexcept { return do_truncate(fd, length); }

int rename(const char* from, const char* to) noexcept {
  return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept {
  return do_rename(from_fd, from, to_fd, to, 0);
}
int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  return do_rename(from_fd, from, to_fd, to, flags);
}
int mkdir(const char* path, mode_t mode) noexcept { return do_mkdir(AT_FDCWD, path, mode); }
int mkdirat(int fd, const char* path, mode_t mode) noexcept { return do_mkdir(fd, path, mode); }
int unlink(const char* path) noexcept { return do_unlink(AT_FDCWD, path, 0); }
int unlinkat(int fd, const char* path, int flags) noexcept { return do_unlink(fd, path, flags); }
int rmdir(const char* path) noexcept { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) noexcept {
  struct stat s;
  const bool directory = lstat(path, &s) == 0 && S_ISDIR(s.st_mode);
  return do_unlink(AT_FDCWD, path, directory ? AT_REMOVEDIR : 0);
}
int link(const char* from, const char* to) noexcept {
  return do_link(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) noexcept {
  return do_link(from_fd, from, to_fd, to, flags);
}
int close(int fd) { return do_close(fd); }

}  // extern "C"
