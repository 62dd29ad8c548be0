#include "comm/operation.h"

#include <algorithm>

#include "comm/call.h"
#include "comm/progress.h"
#include "comm/reduce.h"

namespace birkhoff {
namespace {

// Slices begin at multiples of this many elements: whole cache lines.
constexpr int64_t kSliceUnit = 32;

// First element of slice `rank` when `count` elements are cut into `size` slices.
int64_t slice_begin(int64_t count, int size, int rank) {
  const int64_t slice = (count + size - 1) / size;
  return std::min(count, (slice + kSliceUnit - 1) / kSliceUnit * kSliceUnit * rank);
}

std::byte* at(const void* data, int64_t bytes) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(data)) + bytes;
}

}  // namespace

void Operation::start(const CommCall& call, const Place& place) {
  const int64_t width = int64_t(size_of(dtype_of(call)));
  chunk_ = place.chunk_bytes;
  bytes_ = count_of(call) * width;
  reduces_ = false;
  reduced_ = 0;
  add_peers(call, place);
  sign(call, place);
  const bool reduction =
      call.operation == Collective::all_reduce || call.operation == Collective::reduce_scatter;
  if (reduction)
    plan_reduction(call, place);
  else
    plan_exchange(call, place);
  complete_ = peers_.empty();
  post_signatures();
}

void Operation::add_peers(const CommCall& call, const Place& place) {
  peers_.clear();
  const bool message = call.operation == Collective::send || call.operation == Collective::receive;
  for (int r = 0; r < int(place.ranks.size()); ++r) {
    if (r == place.rank || (message && r != call.peer)) continue;
    Peer& peer = peers_.emplace_back();
    peer.rank = r, peer.world_rank = place.ranks[size_t(r)];
  }
}

void Operation::sign(const CommCall& call, const Place& place) {
  const int self = place.ranks[size_t(place.rank)];
  signature_ = {.sequence = place.sequence,
                .count = count_of(call),
                .group = place.group,
                .from = self,
                .to = self,
                .operation = call.operation,
                .dtype = dtype_of(call),
                .reduction = call.reduction};
  if (call.operation == Collective::broadcast) signature_.root = place.ranks[size_t(call.peer)];
  for (Peer& peer : peers_) {
    peer.says = peer.expects = signature_;
    peer.says.to = peer.expects.from = peer.world_rank;
    if (call.operation == Collective::all_to_all) {
      peer.says.count = call.send_counts[size_t(peer.rank)];
      peer.expects.count = call.receive_counts[size_t(peer.rank)];
    }
    if (call.operation == Collective::send) signature_.to = peer.world_rank;
    if (call.operation == Collective::receive) {
      signature_.from = peer.world_rank;
      peer.expects.operation = Collective::send;
    }
  }
}

void Operation::plan_exchange(const CommCall& call, const Place& place) {
  const int64_t width = int64_t(size_of(dtype_of(call)));
  const int64_t part = call.in.count * width;  // bytes of one rank's part
  int64_t sent = 0, received = 0;              // bytes of an all_to_all so far
  for (Peer& peer : peers_) {
    if (call.operation == Collective::all_to_all && peer.rank == place.rank + 1) {
      sent += call.send_counts[size_t(place.rank)] * width;  // skips this rank's own part
      received += call.receive_counts[size_t(place.rank)] * width;
    }
    switch (call.operation) {
      case Collective::broadcast:
        if (call.peer == place.rank) peer.give = {.data = at(call.out.data, 0), .bytes = bytes_};
        if (call.peer == peer.rank) peer.take = {.data = at(call.out.data, 0), .bytes = bytes_};
        break;
      case Collective::all_gather:
        peer.give = {.data = at(call.in.data, 0), .bytes = part};
        peer.take = {.data = at(call.out.data, peer.rank * part), .bytes = part};
        break;
      case Collective::all_to_all:
        peer.give = {.data = at(call.in.data, sent), .bytes = peer.says.count * width};
        peer.take = {.data = at(call.out.data, received), .bytes = peer.expects.count * width};
        sent += peer.give.bytes, received += peer.take.bytes;
        break;
      case Collective::send:
        peer.give = {.data = at(call.in.data, 0), .bytes = bytes_};
        break;
      case Collective::receive:
        peer.take = {.data = at(call.out.data, 0), .bytes = bytes_};
        break;
      default:
        break;  // a barrier consists of its signatures
    }
  }
}

void Operation::plan_reduction(const CommCall& call, const Place& place) {
  if (peers_.empty()) return;
  const int64_t width = int64_t(size_of(dtype_of(call)));
  const int size = int(place.ranks.size());
  const bool all = call.operation == Collective::all_reduce;
  const void* data = all ? call.out.data : call.in.data;
  const auto begin = [&](int rank) {
    return width * (all ? slice_begin(call.out.count, size, rank) : call.out.count * rank);
  };
  reduces_ = true;
  own_place_ = place.rank;
  own_ = at(data, begin(place.rank));
  slice_bytes_ = begin(place.rank + 1) - begin(place.rank);
  sums_ = all ? at(data, begin(place.rank)) : at(call.out.data, 0);
  const int64_t ring = std::min(slice_bytes_, kWindow * chunk_);
  if (int64_t(scratch_.size()) < ring * int64_t(peers_.size()))
    scratch_ = Buffer(size_t(ring) * peers_.size());
  inputs_.resize(size_t(size));
  for (size_t p = 0; p < peers_.size(); ++p) {
    Peer& peer = peers_[p];
    std::byte* theirs = at(data, begin(peer.rank));
    const int64_t their_bytes = begin(peer.rank + 1) - begin(peer.rank);
    peer.give = {.data = theirs, .bytes = their_bytes};
    peer.take = {.data = scratch_.data() + int64_t(p) * ring, .bytes = slice_bytes_, .ring = true};
    if (!all) continue;
    peer.give_sum = {.data = sums_, .bytes = slice_bytes_};
    peer.take_sum = {.data = theirs, .bytes = their_bytes};
  }
}

void Operation::post_signatures() {
  Transport& transport = progress_.transport();
  const Channel channel = {.group = signature_.group, .lane = Channel::header};
  for (Peer& peer : peers_) {
    if (signature_.operation == Collective::send)
      peer.open = true;  // the receiver sends no signature
    else
      peer.arrived_request =
          transport.receive(peer.world_rank, channel, &peer.arrived, sizeof(Signature));
    if (signature_.operation != Collective::receive)
      peer.says_request = transport.send(peer.world_rank, channel, &peer.says, sizeof(Signature));
  }
}

bool Operation::advance() {
  if (complete_) return false;
  bool moved = false, all_settled = true;
  for (Peer& peer : peers_) {
    moved |= advance_signatures(peer);
    moved |= advance_data(peer);
  }
  if (reduces_) moved |= reduce_chunks();
  for (const Peer& peer : peers_) all_settled &= settled(peer);
  if (all_settled) complete_ = true;
  return moved;
}

bool Operation::advance_signatures(Peer& peer) {
  Transport& transport = progress_.transport();
  bool moved = false;
  if (peer.says_request != Transport::kNone && transport.test(peer.says_request))
    peer.says_request = Transport::kNone, moved = true;
  if (peer.arrived_request != Transport::kNone && transport.test(peer.arrived_request)) {
    peer.arrived_request = Transport::kNone, moved = true;
    if (peer.arrived != peer.expects) throw InternalError(mismatch(peer.arrived, peer.expects));
    peer.open = true;
  }
  return moved;
}

bool Operation::advance_data(Peer& peer) {
  const bool message =
      signature_.operation == Collective::send || signature_.operation == Collective::receive;
  const Channel::Lane lane = message ? Channel::message : Channel::contribution;
  bool moved = move(peer, peer.give, true, lane, chunks(peer.give.bytes));
  moved |= move(peer, peer.give_sum, true, Channel::result, reduced_);
  if (!peer.open) return moved;
  moved |= move(peer, peer.take, false, lane,
                peer.take.ring ? reduced_ + kWindow : chunks(peer.take.bytes));
  // Sums arrive where this rank's own values are, so each chunk must have been sent before.
  moved |= move(peer, peer.take_sum, false, Channel::result, peer.give.done);
  return moved;
}

bool Operation::move(Peer& peer, Stream& stream, bool out, Channel::Lane lane, int64_t limit) {
  Transport& transport = progress_.transport();
  const Channel channel = {
      .group = signature_.group, .lane = lane, .sequence = signature_.sequence};
  bool moved = false;
  while (stream.done < stream.posted &&
         transport.test(stream.requests[size_t(stream.done % kWindow)]))
    ++stream.done, moved = true;
  limit = std::min({limit, chunks(stream.bytes), stream.done + kWindow});
  for (; stream.posted < limit; ++stream.posted, moved = true) {
    const int64_t begin = stream.posted * chunk_;
    const size_t bytes = size_t(std::min(chunk_, stream.bytes - begin));
    std::byte* data = stream.data + (stream.ring ? stream.posted % kWindow * chunk_ : begin);
    stream.requests[size_t(stream.posted % kWindow)] =
        out ? transport.send(peer.world_rank, channel, data, bytes)
            : transport.receive(peer.world_rank, channel, data, bytes);
  }
  return moved;
}

bool Operation::reduce_chunks() {
  bool moved = false;
  const int64_t width = int64_t(size_of(signature_.dtype));
  for (; reduced_ < chunks(slice_bytes_); ++reduced_, moved = true) {
    for (const Peer& peer : peers_)
      if (peer.take.done <= reduced_) return moved;
    const int64_t begin = reduced_ * chunk_;
    for (const Peer& peer : peers_)
      inputs_[size_t(peer.rank)] = peer.take.data + reduced_ % kWindow * chunk_;
    inputs_[size_t(own_place_)] = own_ + begin;
    reduce(signature_.reduction, signature_.dtype, inputs_, sums_ + begin,
           std::min(chunk_, slice_bytes_ - begin) / width);
  }
  return moved;
}

bool Operation::settled(const Peer& peer) const {
  const auto through = [&](const Stream& s) { return s.done == chunks(s.bytes); };
  return peer.open && peer.says_request == Transport::kNone && through(peer.give) &&
         through(peer.take) && through(peer.give_sum) && through(peer.take_sum) &&
         (!reduces_ || reduced_ == chunks(slice_bytes_));
}

void Operation::cut_off() noexcept {
  Transport& transport = progress_.transport();
  for (Peer& peer : peers_) {
    for (Transport::Request* request : {&peer.says_request, &peer.arrived_request})
      if (*request != Transport::kNone) transport.cancel(std::exchange(*request, Transport::kNone));
    for (Stream* s : {&peer.give, &peer.take, &peer.give_sum, &peer.take_sum})
      for (; s->done < s->posted; ++s->done)
        transport.cancel(s->requests[size_t(s->done % kWindow)]);
  }
}

bool Operation::same_order(const Signature& s) const {
  const auto message = [](const Signature& x) {
    return x.operation == Collective::send || x.operation == Collective::receive;
  };
  if (s.group != signature_.group || message(s) != message(signature_)) return false;
  return !message(s) || (s.operation == signature_.operation && s.from == signature_.from &&
                         s.to == signature_.to);
}

bool Operation::done() { return progress_.done(*this); }
void Operation::wait() { progress_.wait(*this); }
void Operation::release() noexcept { progress_.release(*this); }

}  // namespace birkhoff
