#include "engine/config/suggest.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "engine/config/fields.h"
#include "tests/engine/config/refusal.h"

namespace birkhoff::testing {
namespace {

TEST(EditDistance, KnownValues) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("steps", "setps"), 1);
  EXPECT_EQ(edit_distance("ca", "abc"), 3);  // 2 if a swapped pair could be edited further
  EXPECT_EQ(edit_distance("abcd", "badc"), 2);
}

// How people misspell: one slip of the fingers, another project's style, or the wrong section.
class Typist {
 public:
  std::string slip(std::string word) {
    const size_t at = random_() % word.size();
    switch (random_() % 5) {
      case 0:
        word.erase(at, 1);
        break;
      case 1:
        word.insert(at, 1, word[at]);
        break;
      case 2:
        word[at] = neighbour(word[at]);
        break;
      case 3:
        word.insert(at, 1, neighbour(word[at]));
        break;
      default:
        if (at + 1 < word.size()) std::swap(word[at], word[at + 1]);
    }
    return word;
  }

  std::string restyled(const std::string& word) {
    std::string out;
    const uint64_t style = random_() % 4;
    bool upper = false;
    for (const char c : word) {
      if (c == '_') {
        if (style == 0) out += '-';
        upper = style == 1;  // camelCase, gluedtogether, UPPER_CASE
        if (style == 3) out += c;
        continue;
      }
      out += (upper || style == 3) ? static_cast<char>(std::toupper(c)) : c;
      upper = false;
    }
    return out;
  }

  uint64_t operator()() { return random_(); }

 private:
  char neighbour(char c) {
    static const std::string kRows[] = {"1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm_"};
    for (const std::string& row : kRows) {
      const size_t at = row.find(c);
      if (at == std::string::npos) continue;
      const size_t step = random_() % 2;
      return row[step == 0 ? (at > 0 ? at - 1 : 1) : (at + 1 < row.size() ? at + 1 : at - 1)];
    }
    return 'x';
  }

  std::mt19937_64 random_{20240229};
};

struct Typo {
  std::string section, leaf;
};

Typo mistyped(const Field& field, const std::vector<std::string>& sections, Typist& typist) {
  Typo typo{std::string(field.section()), std::string(field.leaf())};
  switch (typist() % 10) {
    case 0:
      typo.leaf = typist.restyled(typo.leaf);
      break;
    case 1:  // right key, wrong section
      typo.section = sections[typist() % sections.size()];
      break;
    case 2:  // both the section and a slip
      typo.section = sections[typist() % sections.size()];
      [[fallthrough]];
    default:
      typo.leaf = typist.slip(typo.leaf);
      if (typo.leaf.size() >= 9 && typist() % 3 == 0) typo.leaf = typist.slip(typo.leaf);
  }
  return typo;
}

TEST(Suggestions, AreRightForNineteenOfTwentyTypos) {
  Config config;
  const std::vector<Field> fields = fields_of(config);
  std::set<std::string> keys;
  std::map<std::string, int> leaves;
  std::vector<std::string> sections;
  for (const Field& field : fields) {
    keys.insert(field.key);
    ++leaves[std::string(field.leaf())];
  }
  for (const Section& section : config_sections()) sections.emplace_back(section.name);
  Typist typist;
  int tried = 0, right = 0;
  std::string wrong;
  while (tried < 2000) {
    const Field& field = fields[typist() % fields.size()];
    const Typo typo = mistyped(field, sections, typist);
    const std::string key = typo.section.empty() ? typo.leaf : typo.section + "." + typo.leaf;
    // A key, or a leaf that several sections have, is no typo that a suggestion could correct.
    if (typo.leaf.empty() || keys.contains(key)) continue;
    if (leaves[typo.leaf] > 1 ||
        (typo.section != field.section() && leaves[std::string(field.leaf())] > 1))
      continue;
    ++tried;
    const std::string text = typo.section.empty()
                                 ? fmt::format("{}: 1\n", typo.leaf)
                                 : fmt::format("{}:\n  {}: 1\n", typo.section, typo.leaf);
    const std::string message = refusal(text);
    const bool hit = message.ends_with(fmt::format("did you mean '{}'?", field.key));
    right += hit;
    if (!hit) wrong += fmt::format("{} for {}: {}\n", key, field.key, message);
  }
  EXPECT_GE(right, 1900) << wrong;
  RecordProperty("right", right);
}

TEST(Suggestions, FindSections) {
  Typist typist;
  int tried = 0, right = 0;
  for (const Section& section : config_sections()) {
    if (section.name.empty()) continue;
    for (int i = 0; i < 40; ++i) {
      const std::string typo = typist.slip(std::string(section.name));
      if (typo == section.name) continue;
      ++tried;
      right += refusal(typo + ": {}\n").ends_with(fmt::format("did you mean '{}'?", section.name));
    }
  }
  EXPECT_GE(right * 20, tried * 19) << right << " of " << tried;
}

TEST(Suggestions, KnowWhatOthersCallAKey) {
  Config config;
  const std::vector<Field> fields = fields_of(config);
  EXPECT_EQ(nearest_key("train", "learning_rate", fields), "optim.lr");
  EXPECT_EQ(nearest_key("", "num_hidden_layers", fields), "model.layers");
  EXPECT_EQ(nearest_key("train", "seq_len", fields), "train.sequence");
  EXPECT_EQ(nearest_key("model", "n_routed_experts", fields), "moe.experts");
  EXPECT_EQ(nearest_key("train", "max_grad_norm", fields), "optim.clip_norm");
}

TEST(Suggestions, PreferTheSectionTheTypoStandsIn) {
  Config config;
  const std::vector<Field> fields = fields_of(config);
  EXPECT_EQ(nearest_key("optim", "schedul", fields), "optim.schedule");
  EXPECT_EQ(nearest_key("parallel", "schedul", fields), "parallel.schedule");
}

TEST(Suggestions, AreNotMadeForAnything) {
  Config config;
  const std::vector<Field> fields = fields_of(config);
  for (const char* word : {"wibbly_wobbly", "x", "zzzz", "quantum_flux", ""})
    EXPECT_EQ(nearest_key("model", word, fields), "") << word;
  EXPECT_EQ(nearest_key("model", std::string(1 << 20, 'a'), fields), "");
}

}  // namespace
}  // namespace birkhoff::testing
