#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/mpi/connect.h"

namespace birkhoff {
namespace {

// An abort is sent outside of all channels, to a receive that every rank keeps posted.
constexpr int kAbortTag = 1 << 20;  // above every Channel::number()
constexpr int kAbortBytes = 1024;   // size of its zero-padded line; longer ones are cut

// A wait first polls again at once, then yields (ranks may share a core), then sleeps.
constexpr int64_t kSpins = 64, kYields = 1024;
constexpr int64_t kShortestSleep = 10, kLongestSleep = 100;  // microseconds

// How long sending an abort may take before the process goes on to its end.
constexpr std::chrono::milliseconds kAbortTime(200);

void require(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw PeerError(fmt::format("{}: {}", call, printable({text, size_t(length)})));
}

class MpiTransport final : public Transport {
 public:
  explicit MpiTransport(std::shared_ptr<AbortFlag> abort);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Request send(int to, Channel channel, const void* data, size_t bytes) override;
  Request receive(int from, Channel channel, void* data, size_t bytes) override;
  bool test(Request request) override;
  void cancel(Request request) noexcept override;
  void pause(int64_t idle) override;
  void raise_everywhere(const std::string& line) noexcept override;
  void finish() override;

 private:
  struct Open {
    MPI_Request request = MPI_REQUEST_NULL;
    int bytes = 0;  // expected bytes; -1: a send
  };
  Request open(int bytes);
  void listen();
  void look_for_abort();

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  std::vector<Open> open_;
  std::vector<Request> free_;
  MPI_Request abort_request_ = MPI_REQUEST_NULL;
  char abort_line_[kAbortBytes] = {};      // from another rank
  char own_abort_line_[kAbortBytes] = {};  // outlives its sends
};

MpiTransport::MpiTransport(std::shared_ptr<AbortFlag> flag) : Transport(std::move(flag)) {
  int granted = 0;
  require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &granted), "MPI_Init_thread");
  if (granted < MPI_THREAD_FUNNELED)
    throw PeerError(
        "MPI_Init_thread: this MPI does not support processes with several threads "
        "(MPI_THREAD_FUNNELED); use another MPI");
  require(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  require(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
  require(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  require(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
  require(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  int* most = nullptr;
  int known = 0;
  require(MPI_Comm_get_attr(comm_, MPI_TAG_UB, &most, &known), "MPI_Comm_get_attr");
  if (!known || *most < kAbortTag)
    throw PeerError(
        fmt::format("this MPI has tags up to {}, but tags up to {} are needed; use another MPI",
                    known ? *most : 0, kAbortTag));
  listen();
}

Transport::Request MpiTransport::open(int bytes) {
  if (free_.empty()) {
    free_.push_back(Request(open_.size()));
    open_.emplace_back();
    free_.reserve(open_.size());  // cancel() must not fail
  }
  const Request request = free_.back();
  free_.pop_back();
  open_[size_t(request)].bytes = bytes;
  return request;
}

Transport::Request MpiTransport::send(int to, Channel channel, const void* data, size_t bytes) {
  const Request request = open(-1);
  require(MPI_Isend(data, int(bytes), MPI_BYTE, to, channel.number(), comm_,
                    &open_[size_t(request)].request),
          "MPI_Isend");
  return request;
}

Transport::Request MpiTransport::receive(int from, Channel channel, void* data, size_t bytes) {
  const Request request = open(int(bytes));
  require(MPI_Irecv(data, int(bytes), MPI_BYTE, from, channel.number(), comm_,
                    &open_[size_t(request)].request),
          "MPI_Irecv");
  return request;
}

bool MpiTransport::test(Request request) {
  Open& open = open_[size_t(request)];
  int complete = 0;
  MPI_Status status;
  require(MPI_Test(&open.request, &complete, &status), "MPI_Test");
  if (!complete) return false;
  if (open.bytes >= 0) {
    int came = 0;
    require(MPI_Get_count(&status, MPI_BYTE, &came), "MPI_Get_count");
    check(
        came == open.bytes,
        "a message of {} bytes from rank {} to rank {} does not match the {} bytes expected there",
        came, status.MPI_SOURCE, rank_, open.bytes);
  }
  free_.push_back(request);
  return true;
}

// A receive is cancelled; a send cannot be, and is left to complete by itself.
void MpiTransport::cancel(Request request) noexcept {
  Open& open = open_[size_t(request)];
  if (open.request != MPI_REQUEST_NULL) {
    if (open.bytes >= 0) MPI_Cancel(&open.request);
    MPI_Request_free(&open.request);
  }
  free_.push_back(request);
}

void MpiTransport::pause(int64_t idle) {
  look_for_abort();
  if (idle < kSpins) return;
  if (idle < kYields) {
    sched_yield();
    return;
  }
  const int64_t sleep = std::min(kLongestSleep, kShortestSleep + (idle - kYields) / 8);
  std::this_thread::sleep_for(std::chrono::microseconds(sleep));
}

void MpiTransport::listen() {
  require(MPI_Irecv(abort_line_, kAbortBytes, MPI_BYTE, MPI_ANY_SOURCE, kAbortTag, comm_,
                    &abort_request_),
          "MPI_Irecv");
}

void MpiTransport::look_for_abort() {
  if (abort_request_ == MPI_REQUEST_NULL) return;
  int complete = 0;
  require(MPI_Test(&abort_request_, &complete, MPI_STATUS_IGNORE), "MPI_Test");
  if (!complete) return;
  abort_line_[kAbortBytes - 1] = '\0';
  abort().raise(ExitCode::peer, abort_line_);
}

void MpiTransport::raise_everywhere(const std::string& line) noexcept {
  if (!abort().raise(ExitCode::peer, line)) return;  // the others know of an earlier abort, or will
  line.copy(own_abort_line_, kAbortBytes - 1);
  std::vector<MPI_Request> sends(static_cast<size_t>(size_), MPI_REQUEST_NULL);
  for (int r = 0; r < size_; ++r)
    if (r != rank_)
      MPI_Isend(own_abort_line_, kAbortBytes, MPI_BYTE, r, kAbortTag, comm_, &sends[size_t(r)]);
  const auto end = std::chrono::steady_clock::now() + kAbortTime;
  int complete = 0;
  while (!complete && std::chrono::steady_clock::now() < end) {
    if (MPI_Testall(size_, sends.data(), &complete, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return;
    sched_yield();
  }
}

void MpiTransport::finish() {
  require(MPI_Cancel(&abort_request_), "MPI_Cancel");
  require(MPI_Wait(&abort_request_, MPI_STATUS_IGNORE), "MPI_Wait");
  require(MPI_Comm_free(&comm_), "MPI_Comm_free");
  require(MPI_Finalize(), "MPI_Finalize");
}

}  // namespace

std::shared_ptr<Transport> connect_mpi(std::shared_ptr<AbortFlag> abort) {
  return std::make_shared<MpiTransport>(std::move(abort));
}

}  // namespace birkhoff
