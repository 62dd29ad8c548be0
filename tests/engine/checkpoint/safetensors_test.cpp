#include "engine/checkpoint/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>

#include "base/error.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

// A file with this JSON, unpadded, followed by `data` bytes.
std::string file_of(std::string_view json, size_t data) {
  const uint64_t n = json.size();
  std::string s(8, '\0');
  std::memcpy(s.data(), &n, 8);
  return s + std::string(json) + std::string(data, '\x11');
}

std::string refusal(std::string_view file) {
  const auto bytes = std::as_bytes(std::span(file));
  try {
    const size_t n = safetensors_header_bytes(bytes, bytes.size(), "F");
    parse_safetensors(bytes.first(n), bytes.size(), "F");
  } catch (const CheckpointError& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    EXPECT_LT(std::strlen(e.what()), 600u);
    return e.what();
  }
  return "accepted";
}

std::string written(std::span<const NamedTensor> tensors,
                    const std::map<std::string, std::string>& metadata = {}) {
  std::string file = safetensors_header(tensors, metadata);
  for (const NamedTensor& t : tensors)
    file.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  return file;
}

SafetensorsHeader parsed(std::string_view file) {
  const auto bytes = std::as_bytes(std::span(file));
  return parse_safetensors(bytes.first(safetensors_header_bytes(bytes, bytes.size(), "F")),
                           bytes.size(), "F");
}

// Typed out from the format's description: two tensors, names in order, header padded to 8.
TEST(Safetensors, WritesKnownBytes) {
  const float a[2] = {1.0f, -2.0f};
  const int32_t b = 258;
  const NamedTensor tensors[] = {
      {"a.w", {{2}, DType::f32}, std::as_bytes(std::span(a))},
      {"b", {{}, DType::i32}, std::as_bytes(std::span(&b, 1))},
  };
  const std::string json = R"({"a.w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("b":{"dtype":"I32","shape":[],"data_offsets":[8,12]}})";
  ASSERT_EQ(json.size(), 109u);
  const std::string expected = std::string("\x70\0\0\0\0\0\0\0", 8) + json + "   " +
                               std::string("\0\0\x80\x3f\0\0\0\xc0\2\1\0\0", 12);
  EXPECT_EQ(written(tensors), expected);
}

TEST(Safetensors, ReadsWhatItWrote) {
  const std::vector<TensorSpec> specs = {{{3, 5}, DType::f32},    {{7}, DType::bf16},
                                         {{0, 4}, DType::f32},    {{}, DType::f64},
                                         {{2, 1, 3}, DType::i64}, {{13}, DType::i32}};
  std::vector<std::vector<std::byte>> bytes;
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < specs.size(); ++i) {
    bytes.emplace_back(specs[i].bytes());
    for (size_t j = 0; j < bytes[i].size(); ++j) bytes[i][j] = std::byte(i * 37 + j);
    tensors.push_back({fmt::format("t{}.x-y_z", i), specs[i], bytes[i]});
  }
  const std::string file = written(tensors, {{"key", "a \"quoted\"\nvalue"}});
  const SafetensorsHeader header = parsed(file);
  EXPECT_EQ(header.metadata.at("key"), "a \"quoted\"\nvalue");
  EXPECT_EQ(header.bytes % 8, 0u);
  ASSERT_EQ(header.tensors.size(), tensors.size());
  for (const SafetensorsEntry& e : header.tensors) {
    const size_t i = size_t(e.name[1] - '0');
    EXPECT_EQ(e.spec, specs[i]);
    const auto got = std::as_bytes(std::span(file)).subspan(e.begin, e.end - e.begin);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), bytes[i].begin(), bytes[i].end())) << e.name;
  }
}

TEST(Safetensors, NoTensorsAtAll) { EXPECT_TRUE(parsed(written({})).tensors.empty()); }

TEST(Safetensors, RefusesBrokenLengths) {
  EXPECT_THAT(refusal(""), HasSubstr("F: has 0 bytes"));
  EXPECT_THAT(refusal("\x02"), HasSubstr("F: has 1 bytes"));
  EXPECT_THAT(refusal(std::string("\x03\0\0\0\0\0\0\0{}", 10)), HasSubstr("does not fit"));
  EXPECT_THAT(refusal(std::string(8, '\xff') + "{}"), HasSubstr("does not fit"));
  EXPECT_THAT(refusal(std::string("\xff\xe0\xf5\5\0\0\0\0{}", 10)), HasSubstr("does not fit"));
  EXPECT_THAT(refusal(file_of("", 0)), HasSubstr("does not start with '{'"));
  EXPECT_EQ(refusal(file_of("{}", 0)), "accepted");
}

// A file with exactly one fault; `data` bytes follow.
struct Case {
  std::string json;
  size_t data;
  std::string says;
};

void expect_refusals(const std::vector<Case>& cases) {
  for (const Case& c : cases)
    EXPECT_THAT(refusal(file_of(c.json, c.data)), HasSubstr(c.says)) << c.json.substr(0, 120);
}

const std::string kFields = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";

TEST(Safetensors, RefusesBrokenJson) {
  const std::string deep(100'000, '[');
  expect_refusals({
      {"{\"a\":{" + kFields + "}}", 8, "accepted"},
      {"{\"a\":{" + kFields + "}}" + std::string(3, '\0') + "hidden", 8, "has a NUL"},
      {"\xef\xbb\xbf{\"a\":{" + kFields + "}}", 8, "does not start"},
      {" {\"a\":{" + kFields + "}}", 8, "does not start"},
      {"{\"a\":{" + kFields + "}} x", 8, "invalid JSON"},
      {"{\"a\":{" + kFields + "}", 8, "invalid JSON"},
      {"{\"a\":{" + kFields + ",}}", 8, "invalid JSON"},
      {"{\"a\":" + deep, 8, "an unexpected list"},
      {"{\"a\":{\"shape\":" + deep, 8, "an unexpected list"},
      {R"({"a":{"b":{"c":{}}}})", 0, "unknown key 'b'"},
      {R"({"__metadata__":{"k":{}}})", 0, "an unexpected object"},
      {R"({"__metadata__":{"k":"v","k":"w"}})", 0, "duplicate key"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "duplicate key"},
      {R"({"__metadata__":"k"})", 0, "an unexpected string"},
      {R"({"__metadata__":{"k":1}})", 0, "an unexpected number"},
      {"{\"a\":{" + kFields + "},\"a\":{" + kFields + "}}", 8, "tensor a appears twice"},
      {R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
       R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       8, "tensor a appears twice"},
      {"{\"a\":{" + kFields + ",\"dtype\":\"F32\"}}", 8, "duplicate key 'dtype'"},
  });
}

TEST(Safetensors, RefusesWrongFields) {
  expect_refusals({
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "missing"},
      {R"({"a":{}})", 0, "missing"},
      {R"({"a":5})", 0, "an unexpected number"},
      {R"({"a":null})", 0, "a: null"},
      {R"({"a":true})", 0, "an unexpected true or false"},
      {R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8, "dtype 'F31'"},
      {R"({"a":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}})", 8, "an unexpected list"},
      {R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", 8, "an unexpected string"},
      {R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})", 8, "an unexpected list"},
      {R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", 8, "an unexpected number"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8,
       "an unexpected negative number"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "not an integer"},
      {R"({"a":{"dtype":"F32","shape":[1e1],"data_offsets":[0,8]}})", 8, "not an integer"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "does not have two numbers"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", 8,
       "does not have two numbers"},
  });
}

TEST(Safetensors, RefusesWrongPlacesAndSizes) {
  expect_refusals({
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "do not hold f32[2]"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "do not hold f32[3]"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})", 9,
       "the tensor before it ends at 0"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, "the data ends at 7"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, "its tensors hold 8"},
      {"{}", 1, "its tensors hold 0"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "b: starts at offset 4"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})",
       16, "b: starts at offset 12"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "a: its shape is negative or too large"},
      {R"({"a":{"dtype":"F32","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0,
       "a: its shape is negative or too large"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8,
       "an unexpected number"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}})", 8,
       "not an integer"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})",
       8, "too many"},
  });
}

TEST(Safetensors, RefusesBadNames) {
  expect_refusals({
      {R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, "not a valid tensor name"},
      {R"({"../a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
       "not a valid tensor name"},
      {R"({"a\u0000b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
       "not a valid tensor name"},
      {R"({"a..b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
       "not a valid tensor name"},
      {"{\"" + std::string(256, 'a') + "\":{" + kFields + "}}", 8, "not a valid tensor name"},
      {"{\"\xff\":{" + kFields + "}}", 8, "invalid JSON"},
  });
}

// Tensors in another order than their names', as other writers make them.
TEST(Safetensors, ReadsAnyOrder) {
  const std::string file = file_of(
      R"({"z":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"},"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]}}  )",
      8);
  const auto bytes = std::as_bytes(std::span(file));
  const SafetensorsHeader h = parse_safetensors(bytes.first(file.size() - 8), bytes.size(), "F");
  ASSERT_EQ(h.tensors.size(), 2u);
  EXPECT_EQ(h.tensors[0], (SafetensorsEntry{"z", {{1}, DType::f32}, h.bytes, h.bytes + 4}));
  EXPECT_EQ(h.tensors[1], (SafetensorsEntry{"a", {{2, 1}, DType::bf16}, h.bytes + 4, h.bytes + 8}));
}

TEST(Safetensors, Names) {
  for (const char* good : {"a", "layers.0.attn.kv_a.weight", "A-b_9", "0.1"})
    EXPECT_TRUE(is_tensor_name(good)) << good;
  for (const char* bad : {"", ".", "..", ".a", "a.", "a..b", "a/b", "a b", "a\n", "\xc3\xa9",
                          "__metadata__", "a\\b", "a\"b"})
    EXPECT_FALSE(is_tensor_name(bad)) << bad;
}

}  // namespace
}  // namespace birkhoff
