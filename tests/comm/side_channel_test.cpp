// Strangers that connect to rank 0's side channel, and what frames of a member are believed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>

#include "comm/watch/rendezvous.h"
#include "tests/support/rank_job.h"

namespace birkhoff::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::HasSubstr;

// A stranger's socket, which blocks for at most 20 s.
class Stranger {
 public:
  explicit Stranger(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(uint16_t(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0, "cannot connect");
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Stranger() { ::close(fd_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  const Stranger& say(std::string_view bytes) const {
    (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return *this;
  }
  template <class Message>
  const Stranger& say(FrameType type, const Message& message) const {
    const FrameHeader header{.bytes = sizeof message, .type = type};
    return say(std::string(reinterpret_cast<const char*>(&header), sizeof header) +
               std::string(reinterpret_cast<const char*>(&message), sizeof message));
  }
  // "closed", "silent", or the first byte that arrived.
  std::string answer() const {
    char byte = 0;
    const ssize_t n = ::recv(fd_, &byte, 1, 0);
    if (n > 0) return std::string(1, byte);
    return n == 0 || errno == ECONNRESET ? "closed" : "silent";
  }

 private:
  int fd_;
};

// Rank 0 of a job whose other ranks have not connected yet.
class SideChannel : public ::testing::Test {
 protected:
  void start(int rank, int size, const std::string& more = "dwell=0") {
    job_.start({BIRKHOFF_WATCH_RANK, std::to_string(rank), std::to_string(size),
                job_.path().string(), "40", more});
  }
  void open(int size, const std::string& more = "dwell=0") {
    start(0, size, more);
    const Path path = job_.path() / "rendezvous";
    for (int i = 0; i < 4000 && !std::filesystem::exists(path); ++i)
      std::this_thread::sleep_for(milliseconds(5));
    rendezvous_ = Rendezvous::parse(slurp(path));
  }
  // A member that this test plays, on another machine: otherwise it would be killed with the job.
  static ProcessId elsewhere() {
    ProcessId process = this_process();
    process.machine = "elsewhere";
    return process;
  }
  // Joins the collective, for a member that this test plays.
  void join_collective() const {
    const int fd = ::open((job_.path() / "counter").c_str(), O_RDWR | O_CLOEXEC);
    void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(fd >= 0 && shared != MAP_FAILED, "no counter");
    static_cast<std::atomic<int64_t>*>(shared)->fetch_add(1);
    ::munmap(shared, 4096);
    ::close(fd);
  }
  HelloMessage hello(int rank) const {
    return {.token = rendezvous_.token, .who = message_of(rank, elsewhere())};
  }

  RankJob job_;
  Rendezvous rendezvous_;
};

TEST_F(SideChannel, StrangersChangeNothing) {
  open(3);
  const int port = rendezvous_.port;
  const Stranger silent(port);
  std::vector<std::unique_ptr<Stranger>> crowd;
  for (int i = 0; i < 300; ++i) crowd.push_back(std::make_unique<Stranger>(port));

  HelloMessage wrong_token = hello(1);
  wrong_token.token[15] ^= 1;
  HelloMessage old = hello(1);
  old.protocol = kProtocol + 1;
  HelloMessage endless_name = hello(1);
  std::memset(endless_name.who.host, 'x', sizeof endless_name.who.host);
  HelloMessage no_pid = hello(1);
  no_pid.who.pid = 0;
  for (const HelloMessage& bad :
       {wrong_token, old, endless_name, no_pid, hello(0), hello(3), hello(-1)})
    EXPECT_EQ(Stranger(port).say(FrameType::hello, bad).answer(), "closed");
  EXPECT_EQ(Stranger(port).say(FrameType::verdict, hello(1)).answer(), "closed");
  EXPECT_EQ(Stranger(port).say(FrameType::hello, WelcomeMessage{}).answer(), "closed");
  EXPECT_EQ(Stranger(port).say(std::string(100'000, 'G')).answer(), "closed");
  EXPECT_EQ(Stranger(port).say("GET / HTTP/1.1\r\n\r\n").answer(), "closed");
  const FrameHeader oversized{.bytes = 0xFFFF, .type = FrameType::hello};
  const std::string_view head(reinterpret_cast<const char*>(&oversized), sizeof oversized);
  EXPECT_EQ(Stranger(port).say(head).answer(), "closed");
  EXPECT_EQ(silent.answer(), "closed");  // as the oldest of too many, or after its five seconds

  start(1, 3), start(2, 3);
  EXPECT_THAT(job_.wait(), Each(0)) << job_.err();
  EXPECT_EQ(job_.err(), "");
}

// A member is believed in what it says of itself, if it is valid.
TEST_F(SideChannel, AMembersNonsenseIsItsDeath) {
  open(2);
  const Stranger member(rendezvous_.port);
  EXPECT_NE(member.say(FrameType::hello, hello(1)).answer(), "closed");
  BeatMessage beat{.step = 4, .activity = int32_t(Activity::data)};
  member.say(FrameType::beat, beat);
  // Not believed: an unknown activity, the failure of another rank, an exit code that is not ours.
  beat = {.step = 9, .activity = kActivities};
  member.say(FrameType::beat, beat);
  const Failure of_another{.rank = 0, .process = this_process(), .cause = "x"};
  member.say(FrameType::failure, message_of(of_another));
  FailureMessage success = message_of(Failure{.rank = 1, .process = this_process(), .cause = "y"});
  success.code = 0;
  member.say(FrameType::failure, success);
  member.say(FrameType::crash, CrashMessage{.step = 1, .activity = 1, .signal = 4096});
  member.say("no frame at all");
  EXPECT_THAT(job_.wait(), Each(6));
  EXPECT_THAT(job_.err(), HasSubstr("rank 1 host "));
  EXPECT_THAT(job_.err(), HasSubstr("step 4 activity data: "));
}

// A member on another machine cannot ask the kernel how rank 0 ended.
TEST_F(SideChannel, ACrashIsTold) {
  open(2, "drill=rank=0,step=2,at=backward,kind=segv");
  Connection member = connect_to_rank_0(rendezvous_, 1, elsewhere());
  join_collective();  // of step 1, where rank 0 waits for its member
  std::optional<CrashMessage> told;
  for (int i = 0; i < 4000 && !member.closed() && !told; ++i) {
    for (const Frame& frame : member.receive())
      if (frame.type == FrameType::crash) told = read_crash(frame);
    std::this_thread::sleep_for(milliseconds(5));
  }
  ASSERT_TRUE(told);
  EXPECT_EQ(told->signal, SIGSEGV);
  EXPECT_EQ(told->step, 2);
  EXPECT_EQ(Activity(told->activity), Activity::backward);
  EXPECT_NE(job_.wait()[0], 0);
}

struct Pair {
  Pair() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0, "no sockets");
    raw = ends[0];
    connection = Connection(ends[1]);
  }
  ~Pair() { ::close(raw); }
  void put(std::string_view bytes) const {
    check(::write(raw, bytes.data(), bytes.size()) == ssize_t(bytes.size()), "a short write");
  }
  int raw;
  Connection connection;
};

std::string header(uint16_t bytes, int type, uint8_t mark = FrameHeader::kCheck) {
  const FrameHeader h{.bytes = bytes, .type = FrameType(type), .check = mark};
  return {reinterpret_cast<const char*>(&h), sizeof h};
}

TEST(Connection, PutsFramesTogetherFromAnyPieces) {
  Pair pair;
  const std::string text =
      header(5, int(FrameType::beat)) + "hello" + header(0, int(FrameType::goodbye)) +
      header(kMaxPayload, int(FrameType::peer)) + std::string(kMaxPayload, 'x');
  std::vector<Frame> got;
  for (const char byte : text) {
    pair.put({&byte, 1});
    for (Frame& frame : pair.connection.receive()) got.push_back(std::move(frame));
  }
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].type, FrameType::beat);
  EXPECT_EQ(got[0].payload, "hello");
  EXPECT_EQ(got[1].type, FrameType::goodbye);
  EXPECT_EQ(got[2].payload, std::string(kMaxPayload, 'x'));
  EXPECT_FALSE(pair.connection.closed());
}

TEST(Connection, ClosesOnWhatIsNoFrame) {
  const std::string good = header(1, int(FrameType::beat)) + "x";
  for (const std::string& bad :
       {header(kMaxPayload + 1, int(FrameType::beat)), header(0xFFFF, int(FrameType::hello)),
        header(0, 0), header(0, 9), header(0, 255), header(0, int(FrameType::goodbye), 0)}) {
    Pair pair;
    pair.put(good + bad);
    EXPECT_EQ(pair.connection.receive().size(), 1u);  // frames before it still count
    EXPECT_TRUE(pair.connection.closed());
  }
}

TEST(Rendezvous, RoundTrips) {
  int listener = -1;
  const Rendezvous made = listen_for_ranks(listener);
  const Rendezvous read = Rendezvous::parse(made.text());
  EXPECT_TRUE(same(made.token, read.token) && same(made.reply, read.reply));
  EXPECT_FALSE(same(made.token, made.reply));
  EXPECT_EQ(made.port, read.port);
  EXPECT_EQ(made.machine, read.machine);
  EXPECT_EQ(made.addresses, read.addresses);
  EXPECT_FALSE(made.addresses.empty());
  for (const char* text : {"", "birkhoff-watch-1", "birkhoff-watch-1 ab cd 80 m 127.0.0.1"})
    EXPECT_THROW(Rendezvous::parse(text), InternalError) << text;
  ::close(listener);
}

// Another server at rank 0's address does not know the reply, so no rank talks to it.
TEST(Rendezvous, AnImpostorIsNotRank0) {
  int listener = -1;
  Rendezvous r = listen_for_ranks(listener);
  r.machine = "elsewhere";
  r.addresses = {"127.0.0.1"};
  std::thread impostor([&] {
    pollfd wait{.fd = listener, .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 20'000);
    Connection guest(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    guest.send(FrameType::welcome, WelcomeMessage{r.token});  // what it was sent, not the reply
    while (!guest.closed()) guest.receive(), std::this_thread::sleep_for(milliseconds(5));
  });
  EXPECT_THROW(connect_to_rank_0(r, 1, this_process(), 0.01), PeerError);
  impostor.join();
  ::close(listener);
}

class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
    process_ = this_process();
    process_.pid = pid_;
    // The name in parentheses has no blanks here, so fields can be counted to 22.
    std::ifstream stat(fmt::format("/proc/{}/stat", pid_));
    std::string field;
    for (int i = 0; i < 22; ++i) stat >> field;
    process_.start = std::stoull(field);
  }
  ~Sleeper() { ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0); }
  pid_t pid_;
  ProcessId process_;
};

TEST(Process, KillsOnlyWhoItMeans) {
  const Sleeper sleeper;
  EXPECT_EQ(state_of(sleeper.process_), ProcessState::running);
  ProcessId later = sleeper.process_;  // as if the pid had been reused
  ++later.start;
  EXPECT_EQ(state_of(later), ProcessState::gone);
  kill_process(later);
  ProcessId elsewhere = sleeper.process_;
  elsewhere.machine = "another boot";
  kill_process(elsewhere);
  kill_process(this_process());
  int status = 0;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(::waitpid(sleeper.pid_, &status, WNOHANG), 0);

  ::kill(sleeper.pid_, SIGSTOP);
  ::waitpid(sleeper.pid_, &status, WUNTRACED);
  EXPECT_EQ(state_of(sleeper.process_), ProcessState::stopped);
  kill_process(sleeper.process_);
  siginfo_t info;
  ::waitid(P_PID, id_t(sleeper.pid_), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(state_of(sleeper.process_), ProcessState::gone);  // a zombie
  EXPECT_EQ(how_it_ended(sleeper.process_), "killed by signal 9 (SIGKILL)");
  ProcessId unknown = sleeper.process_;
  unknown.machine = "another boot";
  EXPECT_THAT(how_it_ended(unknown), HasSubstr("its process is gone"));
}

}  // namespace
}  // namespace birkhoff::testing
