#include "comm/watch/rendezvous.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

namespace birkhoff {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kMagic = "birkhoff-watch-1";
constexpr auto kPerAddress = std::chrono::seconds(2);
constexpr size_t kMaxAddresses = 32;

[[noreturn]] void refuse(const char* what) {
  throw ResourceError(
      fmt::format("side channel of the watchdog: {}: {}", what, std::strerror(errno)));
}

Token random_token() {
  Token token;
  if (::getrandom(token.data(), token.size(), 0) != ssize_t(token.size())) refuse("getrandom");
  return token;
}

std::string hex(const Token& token) {
  std::string text;
  for (const uint8_t byte : token) text += fmt::format("{:02x}", byte);
  return text;
}

Token token_of(const std::string& text) {
  Token token;
  bool good = text.size() == 2 * token.size() &&
              text.find_first_not_of("0123456789abcdef") == std::string::npos;
  check(good, "side channel of the watchdog: '{}' is not a valid token", printable(text, 40));
  for (size_t i = 0; i < token.size(); ++i)
    token[i] = uint8_t(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return token;
}

// Numeric addresses of the interfaces that are up; loopback last, since it works on this host only.
std::vector<std::string> own_addresses() {
  std::vector<std::string> all;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) refuse("getifaddrs");
  for (const bool loopback : {false, true})
    for (const ifaddrs* i = list; i; i = i->ifa_next) {
      if (!i->ifa_addr || !(i->ifa_flags & IFF_UP)) continue;
      if (bool(i->ifa_flags & IFF_LOOPBACK) != loopback) continue;
      char text[INET6_ADDRSTRLEN] = "";
      if (i->ifa_addr->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
        ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
      } else if (i->ifa_addr->sa_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(i->ifa_addr);
        if (!IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))  // usable only with an interface
          ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
      }
      if (*text && all.size() < kMaxAddresses) all.emplace_back(text);
    }
  ::freeifaddrs(list);
  return all;
}

int try_connect(const std::string& address, int port, Clock::time_point until) {
  addrinfo hints = {}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return -1;
  int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool connected = fd >= 0 && ::connect(fd, found->ai_addr, found->ai_addrlen) == 0;
  if (fd >= 0 && !connected && errno == EINPROGRESS) {
    pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    int error = 1;
    socklen_t size = sizeof error;
    connected = ::poll(&wait, 1, int(std::max<int64_t>(left, 0))) == 1 &&
                ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }
  ::freeaddrinfo(found);
  if (!connected && fd >= 0) ::close(fd), fd = -1;
  if (fd >= 0) {
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  return fd;
}

// Whether the peer answers with `reply`.
bool welcomed(Connection& connection, const Token& reply, Clock::time_point until) {
  // Reads exactly the welcome: the frames after it must stay unread.
  constexpr size_t kBytes = sizeof(FrameHeader) + sizeof(WelcomeMessage);
  char answer[kBytes];
  size_t have = 0;
  while (have < kBytes && Clock::now() < until) {
    pollfd wait{.fd = connection.descriptor(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 50);
    const ssize_t n = ::recv(wait.fd, answer + have, kBytes - have, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (n > 0) have += size_t(n);
  }
  const FrameHeader expected{.bytes = sizeof(WelcomeMessage), .type = FrameType::welcome};
  Token got;
  std::memcpy(got.data(), answer + sizeof expected, sizeof got);
  return have == kBytes && std::memcmp(answer, &expected, sizeof expected) == 0 && same(got, reply);
}

}  // namespace

std::string Rendezvous::text() const {
  return fmt::format("{} {} {} {} {} {}", kMagic, hex(token), hex(reply), port, machine,
                     fmt::join(addresses, " "));
}

Rendezvous Rendezvous::parse(const std::string& text) {
  std::istringstream in(text);
  Rendezvous r;
  std::string magic, token, reply;
  in >> magic >> token >> reply >> r.port >> r.machine;
  check(in && magic == kMagic && r.port > 0 && r.port < 65536,
        "side channel of the watchdog: '{}' is not a valid rendezvous", printable(text, 80));
  r.token = token_of(token), r.reply = token_of(reply);
  for (std::string address; in >> address && r.addresses.size() < kMaxAddresses;)
    r.addresses.push_back(address);
  return r;
}

Rendezvous listen_for_ranks(int& listener) {
  Rendezvous r{.token = random_token(),
               .reply = random_token(),
               .machine = this_process().machine,
               .addresses = own_addresses()};
  const int off = 0;
  sockaddr_storage any = {};
  // One socket for both families, or for IPv4 alone if the system has no IPv6.
  listener = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  any.ss_family = AF_INET6;  // any address and port 0 are zeros in both families
  if (listener < 0 || ::setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
      ::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof(sockaddr_in6)) != 0) {
    if (listener >= 0) ::close(listener);
    listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    any.ss_family = AF_INET;
    if (listener < 0) refuse("socket");
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof(sockaddr_in)) != 0)
      refuse("bind");
  }
  if (::listen(listener, SOMAXCONN) != 0) refuse("listen");
  socklen_t size = sizeof any;
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&any), &size) != 0) refuse("getsockname");
  r.port = ntohs(any.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(any).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(any).sin_port);
  return r;
}

Connection connect_to_rank_0(const Rendezvous& rendezvous, int rank, const ProcessId& self,
                             double seconds) {
  std::vector<std::string> addresses = rendezvous.addresses;
  if (rendezvous.machine == self.machine) addresses = {"127.0.0.1", "::1"};
  const HelloMessage hello{.token = rendezvous.token, .who = message_of(rank, self)};
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    for (const std::string& address : addresses) {
      const auto until = Clock::now() + kPerAddress;
      Connection connection(try_connect(address, rendezvous.port, until));
      connection.send(FrameType::hello, hello);
      if (!connection.closed() && welcomed(connection, rendezvous.reply, until)) return connection;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  } while (Clock::now() < deadline);
  throw PeerError(
      fmt::format("rank {} could not reach rank 0's watchdog within {:g} s at port {} of {}: check "
                  "for a firewall between the hosts",
                  rank, seconds, rendezvous.port, fmt::join(addresses, ", ")));
}

}  // namespace birkhoff
