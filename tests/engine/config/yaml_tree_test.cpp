#include "engine/config/yaml_tree.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/format.h"

namespace birkhoff {
namespace {

std::string repeated(std::string_view part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

// The first fault as line:column: [path: ]text, or "accepted".
std::string first_fault(std::string_view text) {
  const YamlDocument document = parse_yaml(text);
  if (document.faults.empty()) return "accepted";
  const YamlFault& f = document.faults.front();
  return fmt::format("{}:{}: {}{}", f.line, f.column, f.path.empty() ? "" : f.path + ": ", f.text);
}

// An independent serialisation of the tree: {key@line:column=value@line:column}.
std::string shape(const YamlNode& node) {
  std::string out;
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "null";
    case YamlNode::Kind::scalar:
      return node.quoted ? fmt::format("\"{}\"", node.text) : node.text;
    case YamlNode::Kind::list:
      for (const YamlNode& child : node.children)
        out += fmt::format("{}{}", out.empty() ? "" : ",", shape(child));
      return fmt::format("[{}]", out);
    case YamlNode::Kind::map:
      for (const YamlNode& child : node.children)
        out += fmt::format("{}{}@{}:{}={}@{}:{}", out.empty() ? "" : ",", child.key, child.key_line,
                           child.key_column, shape(child), child.line, child.column);
      return fmt::format("{{{}}}", out);
  }
  return out;
}

std::string tree(std::string_view text) {
  return first_fault(text) == "accepted" ? shape(parse_yaml(text).root) : first_fault(text);
}

TEST(YamlTree, ReadsMapsListsAndScalarsWithTheirPlaces) {
  EXPECT_EQ(tree("a: 1\nb:\n  c: [1, x]  # why\n  'd': \"q\\\"\\\\ #\"\n"),
            "{a@1:1=1@1:4,b@2:1={c@3:3=[1,x]@3:6,d@4:3=\"q\"\\ #\"@4:8}@3:3}");
  EXPECT_EQ(tree("b: {c: 2, d: 'it''s'}\r\ne: f g\r\n"),
            "{b@1:1={c@1:5=2@1:8,d@1:11=\"it's\"@1:14}@1:4,e@2:1=f g@2:4}");
  EXPECT_EQ(tree("l:\n- 1\n- [2]\n"), "{l@1:1=[1,[2]]@2:1}");
}

TEST(YamlTree, AMissingValueStandsAtItsKey) {
  EXPECT_EQ(tree("a:\nb: ~\n"), "{a@1:1=null@1:1,b@2:1=null@2:1}");
}

TEST(YamlTree, ColumnsCountBytes) { EXPECT_EQ(tree("{\"é\": 1}\n"), "{é@1:2=1@1:8}"); }

TEST(YamlTree, EmptyTextsAreNull) {
  for (const char* text : {"", "\n", "# c\n", "---\n", "--- ~\n"}) EXPECT_EQ(tree(text), "null");
}

struct Refused {
  const char* text;
  const char* fault;
};

class YamlTreeRefuses : public ::testing::TestWithParam<Refused> {};

TEST_P(YamlTreeRefuses, AtItsPlace) { EXPECT_EQ(first_fault(GetParam().text), GetParam().fault); }

INSTANTIATE_TEST_SUITE_P(
    All, YamlTreeRefuses,
    ::testing::Values(
        Refused{"a: &x 1\n", "1:4: a: anchors are not supported; write the value out"},
        Refused{"a: &x\n  b: 1\n", "1:4: a: anchors are not supported; write the value out"},
        Refused{"a: !!int 1\n", "1:4: a: tags are not supported; remove the tag"},
        Refused{"a: ! 1\n", "1:4: a: tags are not supported; remove the tag"},
        Refused{"a: !x {b: 1}\n", "1:4: a: tags are not supported; remove the tag"},
        Refused{"a: !x [1]\n", "1:4: a: tags are not supported; remove the tag"},
        Refused{"a: 1\n---\nb: 1\n", "2:1: text after the end of the document"},
        Refused{"a: 1\n...\nb: 1\n", "3:1: text after the end of the document"},
        Refused{"%YAML 1.2\n---\na: 1\n", "1:1: directives are not supported; remove the line"},
        Refused{"a: |\n  x\n",
                "1:4: a: block scalars are not supported; write the text in quotes on one line"},
        Refused{"a: >\n  x\n",
                "1:4: a: block scalars are not supported; write the text in quotes on one line"},
        Refused{"a: 1\n  2\n", "1:4: a: a value must end on its line"},
        Refused{"a: \"1\n  2\"\n", "1:4: a: a quoted text must end on its line"},
        Refused{"a: \"1\nb: 2\n", "1:4: a: a quoted text must end on its line"},
        Refused{"a: '1\nb: 2\n", "1:4: a: a quoted text must end on its line"},
        Refused{"a: 'it''\n", "1:4: a: a quoted text must end on its line"},
        Refused{"a: 1\nb:\n  c: 2\n  c: 3\n", "4:3: b.c: given twice, first on line 3"},
        Refused{"a: 1\n\"a\": 2\n", "2:1: a: given twice, first on line 1"},
        Refused{"[a]: 1\n", "1:1: a key must be plain text, and every bracket must be closed"},
        Refused{"? {a: 1}\n: 1\n",
                "1:3: a key must be plain text, and every bracket must be closed"},
        Refused{"~: 1\n", "1:1: a key must be plain text"},
        Refused{"a:\n\tb: 1\n", "2:1: a tab is used for indentation; use spaces"},
        Refused{"a: [1, 2\n", "2:1: not YAML: end of sequence flow not found"},
        Refused{"a: b: c\n", "1:5: not YAML: illegal map value"},
        Refused{"\xEF\xBB\xBF"
                "a: 1\n",
                "1:1: a byte order mark is not allowed; save the file as plain UTF-8"},
        Refused{"a: 1\nb: \x04\n", "2:4: control character 0x04"},
        Refused{"a: 1\rb: 2\n", "1:5: control character 0x0d"},
        Refused{"a: \xC0\xAF\n", "1:4: byte 0xc0 is not UTF-8"},
        Refused{"a: \xED\xA0\x80\n", "1:4: byte 0xed is not UTF-8"},
        Refused{"a: \xF4\x90\x80\x80\n", "1:4: byte 0xf4 is not UTF-8"},
        Refused{"a: \xC3", "1:4: byte 0xc3 is not UTF-8"}));

TEST(YamlTree, AnAliasIsAFaultNotAValue) {
  const YamlDocument document = parse_yaml("a: &x 1\nb: *x\n");
  ASSERT_EQ(document.faults.size(), 2u);
  EXPECT_EQ(document.faults[1].text, "aliases are not supported; write the value out");
  EXPECT_EQ(document.faults[1].path, "b");
}

TEST(YamlTree, RefusesNulBytes) {
  using namespace std::string_literals;
  EXPECT_EQ(first_fault("a: 1\nb: x\0y\n"s), "2:5: control character 0x00");
  // A reader that guesses encodings would take this for UTF-16.
  EXPECT_EQ(first_fault("a\0:\0"s), "1:2: control character 0x00");
}

TEST(YamlTree, BoundsSize) {
  EXPECT_EQ(first_fault(std::string(kYamlMaxBytes, ' ')), "accepted");
  EXPECT_EQ(first_fault(std::string(kYamlMaxBytes + 1, ' ')),
            "1:1: has 1048577 bytes, but at most 1048576 are allowed");
}

TEST(YamlTree, BoundsDepth) {
  const int limit = kYamlMaxDepth;
  EXPECT_EQ(first_fault(repeated("[", limit) + repeated("]", limit)), "accepted");
  EXPECT_EQ(first_fault(repeated("[", limit + 1) + repeated("]", limit + 1)),
            "1:65: nested deeper than 64 levels");
}

// At the greatest depth of a file, neither the stack nor the time may give out, however it nests.
TEST(YamlTree, DeepNestingNeitherOverflowsNorHangs) {
  constexpr const char* kOpeners[] = {
      "[",  "{",   "- ", "? ",     "[a: ",     "[{",   "*a ", "{a: ", "? - ", "- ? ",
      ": ", "&a ", "!",  "!a ",    "\"",       "'",    "a: ", "[,",   "{,",   "|\n",
      "]",  "}",   ",",  "--- \n", "...\na\n", "\"\\", "[\n", "-\n",  "?\n",  ":\n"};
  std::string stairs;
  for (int i = 0; i < 1000; ++i) stairs += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  std::vector<std::string> texts = {stairs};
  for (size_t i = 0; i < std::size(kOpeners); ++i) {
    const size_t length = std::string_view(kOpeners[i]).size();
    const size_t bytes = i < 7 ? kYamlMaxBytes : size_t{1} << 17;
    texts.push_back(repeated(kOpeners[i], static_cast<int>(bytes / length)));
    texts.push_back("a: " + repeated(kOpeners[i], 3000));
    texts.push_back("a: [" + repeated(kOpeners[i], 3000));
  }
  for (const std::string& text : texts) {
    const auto start = std::chrono::steady_clock::now();
    parse_yaml(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took.count(), 10) << text.substr(0, 12);
  }
}

// yaml-cpp finds documents in this text without end: YAML::LoadAll would not return.
TEST(YamlTree, ATextOfEndlessDocumentsEnds) {
  EXPECT_EQ(first_fault("-\n,\n? [a\n"), "2:1: text after the end of the document");
}

TEST(YamlTree, BoundsTheNumberOfValues) {
  EXPECT_EQ(first_fault(fmt::format("[{}]", repeated("1,", kYamlMaxNodes - 1))), "accepted");
  EXPECT_EQ(first_fault(fmt::format("[{}]", repeated("1,", kYamlMaxNodes + 1))),
            "1:20002: more than 10000 values");
}

TEST(YamlTree, BoundsBracketsAndCommas) {
  const int limit = static_cast<int>(kYamlMaxSigns);
  EXPECT_EQ(first_fault("a: 1  # " + repeated("[", limit)), "accepted");
  EXPECT_EQ(first_fault("a: 1  # " + repeated(",", limit + 1)),
            "1:40009: more than 40000 brackets and commas");
}

// Mutations of a real document: parsing ends soon and without a crash (run under the asan preset),
// and what is accepted has unique keys and text that can be printed.
void expect_sound(const YamlNode& node) {
  EXPECT_EQ(text_fault(node.text), "");
  for (size_t i = 0; i < node.children.size(); ++i) {
    expect_sound(node.children[i]);
    for (size_t j = 0; j < i && node.kind == YamlNode::Kind::map; ++j)
      EXPECT_NE(node.children[i].key, node.children[j].key);
  }
}

void mutate(std::string& text, std::mt19937_64& random) {
  static constexpr std::string_view kAlphabet = "[]{}:,-?&*!|>'\"%@`# \n\t\\ab1~<.\x85\xC3";
  const char c = kAlphabet[random() % kAlphabet.size()];
  const auto at = text.begin() + static_cast<std::ptrdiff_t>(random() % text.size());
  switch (random() % 4) {
    case 0:
      *at = c;
      break;
    case 1:
      text.insert(at, c);
      break;
    case 2:
      text.erase(at);
      break;
    default: {
      const std::string part(at, std::min(at + 30, text.end()));
      text.insert(random() % text.size(), part);
    }
  }
}

TEST(YamlTree, SurvivesMutations) {
  const std::string seed =
      "extends: a.yaml\nrun:\n  dir: \"x \\\" y\"\nmodel: {dim: 1, b: 'c'}\noptim:\n  lr: 1e-3\n"
      "  step_points: [0.8, 0.9]\n  l:\n  - a\n  - ? b\n    : c\n--- # d\n&a !!b *c | > % @ `\n";
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 4000; ++trial) {
    std::string text = seed;
    for (uint64_t edits = random() % 12 + 1; edits > 0 && !text.empty(); --edits)
      mutate(text, random);
    const YamlDocument document = parse_yaml(text);
    if (document.faults.empty()) expect_sound(document.root);
  }
}

}  // namespace
}  // namespace birkhoff
