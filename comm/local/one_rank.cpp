#include "comm/local/one_rank.h"

#include <cstring>

namespace birkhoff {
namespace {

void copy(std::string_view operation, ConstElements x, Elements out) {
  check(x.count == out.count && x.dtype == out.dtype, "[{}] {} of {} to {} of {}", operation,
        x.count, name_of(x.dtype), out.count, name_of(out.dtype));
  if (x.count > 0) std::memcpy(out.data, x.data, size_t(x.count) * size_of(x.dtype));
}

void check_rank(std::string_view operation, int rank) {
  check(rank == 0, "[{}] rank {} of a group of 1", operation, rank);
}

}  // namespace

void OneRank::broadcast(Elements, int root) { check_rank("broadcast", root); }
void OneRank::all_reduce(Elements, Reduction) {}
void OneRank::all_gather(ConstElements x, Elements out) { copy("all_gather", x, out); }
void OneRank::reduce_scatter(ConstElements x, Elements out, Reduction) {
  copy("reduce_scatter", x, out);
}

void OneRank::all_to_all(ConstElements x, std::span<const int64_t> send_counts, Elements out,
                         std::span<const int64_t> receive_counts) {
  check(send_counts.size() == 1 && receive_counts.size() == 1 && send_counts[0] == x.count &&
            receive_counts[0] == out.count,
        "[all_to_all] counts of {} and {} ranks for a group of 1", send_counts.size(),
        receive_counts.size());
  copy("all_to_all", x, out);
}

void OneRank::send(ConstElements, int to) {
  throw InternalError(fmt::format("[send] to rank {} of a group of 1", to));
}
void OneRank::receive(Elements, int from) {
  throw InternalError(fmt::format("[receive] from rank {} of a group of 1", from));
}

}  // namespace birkhoff
