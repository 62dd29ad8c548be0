#include "comm/watch/crash.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>

#include "comm/watch/frame.h"

namespace birkhoff::testing {
namespace {

struct Pair {
  Pair() { check(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no sockets"); }
  ~Pair() { ::close(ends[0]), ::close(ends[1]); }
  int ends[2];
};

using Message = std::array<char, sizeof(FrameHeader) + sizeof(CrashMessage)>;

// Rank 0 has accepted rank 1, and accepts rank 2 while its crash is being reported.
[[noreturn]] void crash(const Pair& first, const Pair& second) {
  const Beacon beacon;
  CrashReport report(beacon, 3);
  report.tell(1, first.ends[0]);
  std::thread hub([&] {
    Message message;
    (void)!::recv(first.ends[1], message.data(), message.size(), MSG_WAITALL);
    report.tell(2, second.ends[0]);
    ::recv(second.ends[1], message.data(), message.size(), MSG_WAITALL | MSG_PEEK);
    report.settled();
  });
  ::raise(SIGABRT);
  ::_exit(1);
}

TEST(CrashReport, IsToldToWhoComesMeanwhile) {
  const Pair first, second;
  const pid_t child = ::fork();
  check(child >= 0, "no process to be had");
  if (child == 0) crash(first, second);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  Message message;
  EXPECT_EQ(::recv(second.ends[1], message.data(), message.size(), MSG_DONTWAIT),
            ssize_t(message.size()));
}

}  // namespace
}  // namespace birkhoff::testing
