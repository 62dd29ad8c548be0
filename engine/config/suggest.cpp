#include "engine/config/suggest.h"

#include <algorithm>

#include "base/error.h"

namespace birkhoff {
namespace {

// A longer word is no misspelling; the limit keeps the work on hostile input small.
constexpr size_t kLongestWord = 64;

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-' || c == ' ') c = '_';
  }
  return out;
}

// The number of edits up to which a word is still recognised.
int tolerated(size_t length) {
  return length <= 2 ? 1 : length <= 5 ? 2 : static_cast<int>(length / 3) + 1;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string nearest_word(std::string_view word, std::span<const std::string_view> words) {
  if (word.size() > kLongestWord) return {};
  const std::string wanted = folded(word);
  std::string best;
  int best_distance = tolerated(word.size()) + 1;
  for (const std::string_view candidate : words) {
    const int distance = edit_distance(wanted, folded(candidate));
    // As many edits as letters would turn anything into anything.
    if (distance >= best_distance || distance >= static_cast<int>(candidate.size())) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::string nearest_key(std::string_view section, std::string_view leaf,
                        const std::vector<Field>& fields) {
  if (leaf.size() > kLongestWord) return {};
  const std::string wanted = folded(leaf);
  std::string best;
  // In half edits: another section costs one half more, so that it only loses ties.
  int best_cost = 2 * tolerated(leaf.size()) + 2;
  for (const Field& field : fields) {
    const auto consider = [&](std::string_view candidate) {
      const size_t longer = std::max(wanted.size(), candidate.size());
      const size_t shorter = std::min(wanted.size(), candidate.size());
      if (2 * int(longer - shorter) >= best_cost) return;  // each extra letter is an edit
      const int distance = edit_distance(wanted, candidate);
      const int cost = 2 * distance + (field.section() == section ? 0 : 1);
      if (cost >= best_cost || distance >= static_cast<int>(candidate.size())) return;
      best = field.key;
      best_cost = cost;
    };
    consider(field.leaf());
    consider(field.key);  // optim.lr written as one key
    for (const std::string_view other : field.also) consider(other);
  }
  return best;
}

std::string did_you_mean(std::string_view suggestion) {
  return suggestion.empty() ? "" : fmt::format("; did you mean '{}'?", suggestion);
}

}  // namespace birkhoff
