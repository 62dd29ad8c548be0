#include "comm/exchange.h"

#include <algorithm>
#include <cstring>

namespace birkhoff {
namespace {

constexpr int64_t kLongestText = int64_t(1) << 30;
constexpr int64_t kWord = sizeof(int64_t);  // texts are sent in whole words

int64_t words_of(int64_t bytes) { return (bytes + kWord - 1) / kWord; }

std::vector<int64_t> packed(std::string_view text, int64_t words) {
  std::vector<int64_t> data(size_t(words), 0);
  if (!text.empty()) std::memcpy(data.data(), text.data(), text.size());
  return data;
}

std::string unpacked(const int64_t* words, int64_t bytes) {
  std::string text(size_t(bytes), '\0');
  if (bytes > 0) std::memcpy(text.data(), words, size_t(bytes));
  return text;
}

}  // namespace

std::vector<std::string> all_gather_texts(Communicator& ranks, std::string_view own) {
  const size_t size = size_t(ranks.size());
  const int64_t length = int64_t(own.size());
  std::vector<int64_t> lengths(size);
  ranks.all_gather(elements(std::span<const int64_t>(&length, 1)), elements(std::span(lengths)));
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  check(longest <= kLongestText, "[all_gather_texts] {} bytes; at most {}", longest, kLongestText);

  const int64_t row = words_of(longest);
  const std::vector<int64_t> words = packed(own, row);
  std::vector<int64_t> all(size_t(row) * size);
  ranks.all_gather(elements(std::span<const int64_t>(words)), elements(std::span(all)));
  std::vector<std::string> texts;
  for (size_t r = 0; r < size; ++r)
    texts.push_back(unpacked(all.data() + int64_t(r) * row, lengths[r]));
  return texts;
}

std::string broadcast_text(Communicator& ranks, std::string_view text, int root) {
  const bool mine = ranks.rank() == root;
  int64_t length = mine ? int64_t(text.size()) : 0;
  ranks.broadcast(elements(std::span(&length, 1)), root);
  check(length <= kLongestText, "[broadcast_text] {} bytes; at most {}", length, kLongestText);
  std::vector<int64_t> words = packed(mine ? text : std::string_view(), words_of(length));
  ranks.broadcast(elements(std::span(words)), root);
  return unpacked(words.data(), length);
}

SharedError shared_error_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {.code = e.code(), .line = e.what()};
  } catch (const std::exception& e) {
    return {.line = e.what()};
  } catch (...) {
    return {.line = "an exception of unknown type"};
  }
}

std::optional<SharedError> agree(Communicator& ranks, const std::optional<SharedError>& own) {
  const int size = ranks.size();
  const int64_t code = own ? int64_t(own->code) : 0;
  std::vector<int64_t> codes(static_cast<size_t>(size));
  ranks.all_gather(elements(std::span<const int64_t>(&code, 1)), elements(std::span(codes)));
  const auto first = std::find_if(codes.begin(), codes.end(), [](int64_t c) { return c != 0; });
  if (first == codes.end()) return std::nullopt;
  const int rank = int(first - codes.begin());
  return SharedError{.code = ExitCode(*first),
                     .line = broadcast_text(ranks, own ? own->line : "", rank),
                     .rank = rank};
}

}  // namespace birkhoff
