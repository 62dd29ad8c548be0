// Index and tensors of a Hugging Face directory, and their writer.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>

#include "engine/checkpoint/safetensors.h"
#include "engine/exchange/hf_blocks.h"
#include "engine/exchange/hf_index.h"
#include "engine/exchange/hf_weights.h"
#include "engine/exchange/hf_write.h"
#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;
using testing::Scratch;
using testing::slurp;
using testing::spill;

std::string error_of(const std::function<void()>& f) {
  try {
    f();
    return "accepted";
  } catch (const CheckpointError& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
}

std::string index_error(std::string_view text) {
  return error_of([&] { parse_hf_index(text, "I"); });
}

TEST(HfIndex, ReadsWhatItWrites) {
  const std::map<std::string, std::string> files = {{"a.b", "model-00001-of-00002.safetensors"},
                                                    {"c", "model-00002-of-00002.safetensors"}};
  EXPECT_EQ(parse_hf_index(hf_index_text(files, 12), "I"), files);
  EXPECT_EQ(hf_file_name(2, 31), "model-00002-of-00031.safetensors");
  EXPECT_EQ(parse_hf_index(R"({"weight_map": {}})", "I").size(), 0u);
}

TEST(HfIndex, Refuses) {
  EXPECT_THAT(index_error("{"), HasSubstr("I: is not valid JSON"));
  EXPECT_THAT(index_error("{}"), HasSubstr("no field 'weight_map'"));
  EXPECT_THAT(index_error(R"({"weight_map": []})"), HasSubstr("weight_map is not an object"));
  EXPECT_THAT(index_error(R"({"weight_map": {}, "metadata": 1})"), HasSubstr("metadata"));
  EXPECT_THAT(index_error(R"({"weight_map": {}, "more": 1})"), HasSubstr("unknown field 'more'"));
  EXPECT_THAT(index_error(R"({"weight_map": {"a": "x.safetensors", "a": "x.safetensors"}})"),
              HasSubstr("'a' twice"));
  EXPECT_THAT(index_error(R"({"weight_map": {"../a": "x.safetensors"}})"), HasSubstr("'../a'"));
  for (const char* name :
       {"../x.safetensors", "/x.safetensors", "a/b.safetensors", ".safetensors", ".x.safetensors",
        "x.bin", "", "x.safetensors\\u0000", "x\\n.safetensors"})
    EXPECT_THAT(index_error(fmt::format(R"({{"weight_map": {{"a": "{}"}}}})", name)),
                HasSubstr("is not a valid file name"))
        << name;
  EXPECT_THAT(index_error(R"({"weight_map": {"a": 1}})"), HasSubstr("is not a valid file name"));
}

// Writes a file of tensors with one element each.
void put(const Path& path, const std::vector<std::string>& names, float value = 1) {
  std::vector<NamedTensor> tensors;
  for (const std::string& name : names)
    tensors.push_back({name, {{1}, DType::f32}, std::as_bytes(std::span(&value, 1))});
  std::string bytes = safetensors_header(tensors, {});
  for (const NamedTensor& t : tensors)
    bytes.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  spill(path, bytes);
}

std::string weights_error(const Scratch& scratch) {
  return error_of([&] { HfWeights(Directory(scratch.path())); });
}

TEST(HfWeights, OfOneFileOrOfSeveral) {
  const Scratch one, two;
  put(one / "model.safetensors", {"a", "b"});
  EXPECT_EQ(HfWeights(Directory(one.path())).tensors().size(), 2u);
  put(two / "x-1.safetensors", {"a"}, 3);
  put(two / "x-2.safetensors", {"b"}, 4);
  spill(two / "model.safetensors.index.json",
        hf_index_text({{"a", "x-1.safetensors"}, {"b", "x-2.safetensors"}}, 8));
  const HfWeights weights(Directory(two.path()));
  float a = 0, b = 0;
  weights.read(weights.tensors().at("a"), {&a, 1});
  weights.read(weights.tensors().at("b"), {&b, 1});
  EXPECT_EQ(a, 3);
  EXPECT_EQ(b, 4);
}

TEST(HfWeights, RefusesFilesThatDoNotFitTheIndex) {
  const Scratch scratch;
  EXPECT_THAT(weights_error(scratch), HasSubstr("has neither model.safetensors nor"));
  put(scratch / "x.safetensors", {"a", "b"});
  const auto with = [&](const std::map<std::string, std::string>& files) {
    spill(scratch / "model.safetensors.index.json", hf_index_text(files, 0));
    return weights_error(scratch);
  };
  EXPECT_EQ(with({{"a", "x.safetensors"}, {"b", "x.safetensors"}}), "accepted");
  EXPECT_THAT(with({{"a", "x.safetensors"}}),
              HasSubstr("tensor b: model.safetensors.index.json lists it nowhere"));
  EXPECT_THAT(with({{"a", "x.safetensors"}, {"b", "x.safetensors"}, {"c", "x.safetensors"}}),
              HasSubstr("tensor c is not in x.safetensors"));
  put(scratch / "y.safetensors", {"b"});
  EXPECT_THAT(with({{"a", "x.safetensors"}, {"b", "y.safetensors"}}),
              HasSubstr("lists it in y.safetensors"));
  EXPECT_THAT(with({{"a", "z.safetensors"}}), HasSubstr("z.safetensors"));
  put(scratch / "model.safetensors", {"a"});
  EXPECT_THAT(weights_error(scratch), HasSubstr("remove the one that is out of date"));
}

TEST(HfWeights, FollowsNoLinksAndReadsNothingElse) {
  const Scratch scratch, other;
  put(other / "model.safetensors", {"a"});
  std::filesystem::create_symlink(other / "model.safetensors", scratch / "model.safetensors");
  EXPECT_THAT(weights_error(scratch), HasSubstr("model.safetensors"));
  std::filesystem::remove(scratch / "model.safetensors");
  std::filesystem::create_directory(scratch / "model.safetensors");
  EXPECT_THAT(weights_error(scratch), HasSubstr("not a regular file"));
}

TEST(HfWeights, RefusesDamagedFiles) {
  const Scratch scratch;
  put(scratch / "model.safetensors", {"a"});
  const std::string good = slurp(scratch / "model.safetensors");
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    spill(scratch / "model.safetensors", good.substr(0, bytes));
    EXPECT_NE(weights_error(scratch), "accepted") << bytes;
  }
  spill(scratch / "model.safetensors", good + "x");
  EXPECT_NE(weights_error(scratch), "accepted");
  std::string fp8 = good;
  fp8.replace(fp8.find("F32"), 3, "F8_");
  spill(scratch / "model.safetensors", fp8);
  EXPECT_THAT(weights_error(scratch), HasSubstr("dtype 'F8_'"));
}

// Every f16, against its definition: (−1)^s · 2^(e − 15) · 1.f, 2^−14 · 0.f where e is 0.
TEST(HalfPrecision, IsExact) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const int exponent = int(bits >> 10) & 31;
    const double fraction = double(bits & 1023) / 1024, sign = bits >> 15 ? -1 : 1;
    const float got = to_float(f16{uint16_t(bits)});
    if (exponent == 31 && fraction > 0) {
      EXPECT_TRUE(std::isnan(got)) << bits;
      continue;
    }
    const double want = exponent == 31  ? sign * INFINITY
                        : exponent == 0 ? sign * std::ldexp(fraction, -14)
                                        : sign * std::ldexp(1 + fraction, exponent - 15);
    EXPECT_EQ(double(got), want) << bits;
    EXPECT_EQ(std::signbit(got), bits >> 15 == 1) << bits;
  }
}

TEST(HfWeights, ConvertsToF32) {
  const Scratch scratch;
  const uint16_t half[] = {0x3C00, 0xC500}, brain[] = {0x3FC0, 0xC000};
  const float single[] = {0.1f, -3};
  const NamedTensor tensors[] = {{"a", {{2}, DType::f16}, std::as_bytes(std::span(half))},
                                 {"b", {{2}, DType::bf16}, std::as_bytes(std::span(brain))},
                                 {"c", {{2}, DType::f32}, std::as_bytes(std::span(single))}};
  std::string bytes = safetensors_header(tensors, {});
  for (const NamedTensor& t : tensors)
    bytes.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  spill(scratch / "model.safetensors", bytes);
  const HfWeights weights(Directory(scratch.path()));
  const auto values = [&](const char* name) {
    std::vector<float> v(2);
    weights.read(weights.tensors().at(name), v);
    return v;
  };
  EXPECT_EQ(values("a"), (std::vector<float>{1, -5}));
  EXPECT_EQ(values("b"), (std::vector<float>{1.5, -2}));
  EXPECT_EQ(values("c"), (std::vector<float>{0.1f, -3}));
}

// Every code of E4M3, against its definition: (−1)^s · 2^(e − 7) · 1.f, 2^−6 · 0.f where e is 0, no
// infinity, and NaN where all bits but the sign are set.
TEST(EightBits, AreExact) {
  for (uint32_t bits = 0; bits < 256; ++bits) {
    const int exponent = int(bits >> 3) & 15;
    const double fraction = double(bits & 7) / 8, sign = bits >> 7 ? -1 : 1;
    const float got = to_float(f8_e4m3{uint8_t(bits)});
    if ((bits & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(got)) << bits;
      continue;
    }
    const double want = exponent == 0 ? sign * std::ldexp(fraction, -6)
                                      : sign * std::ldexp(1 + fraction, exponent - 7);
    EXPECT_EQ(double(got), want) << bits;
    EXPECT_EQ(std::signbit(got), bits >> 7 == 1) << bits;
  }
  EXPECT_EQ(to_float(f8_e4m3{0x7E}), 448);
}

// Ragged last blocks, in both directions.
TEST(Blocks, EachHasItsFactor) {
  for (const auto& [rows, columns, r, c] :
       {std::tuple{5, 7, 2, 3}, {3, 8, 4, 4}, {1, 1, 128, 128}, {129, 3, 128, 2}, {4, 6, 1, 1}}) {
    const HfBlocks blocks{r, c};
    const Shape shape{rows, columns}, scales = scale_shape(shape, blocks);
    EXPECT_EQ(scales, (Shape{(rows + r - 1) / r, (columns + c - 1) / c}));
    std::vector<float> weight(size_t(rows * columns)), scale(size_t(count(scales)));
    for (size_t i = 0; i < weight.size(); ++i) weight[i] = float(i % 15) - 7;
    for (size_t i = 0; i < scale.size(); ++i) scale[i] = 0.1f * float(i + 1);
    const std::vector<float> before = weight;
    scale_blocks(weight, shape, scale, blocks);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const auto at = size_t(i * columns + j), block = size_t((i / r) * scales[1] + j / c);
        EXPECT_EQ(weight[at], before[at] * scale[block]) << i << " " << j;
      }
  }
}

TEST(HfWeights, ReadsAStretch) {
  const Scratch scratch;
  const uint16_t brain[] = {0x3F80, 0x4000, 0x4040, 0x4080};
  const uint8_t eight[] = {0x38, 0x40, 0xB8, 0x01};
  const NamedTensor tensors[] = {{"a", {{4}, DType::bf16}, std::as_bytes(std::span(brain))},
                                 {"b", {{2, 2}, DType::f8_e4m3}, std::as_bytes(std::span(eight))}};
  std::string bytes = safetensors_header(tensors, {});
  for (const NamedTensor& t : tensors)
    bytes.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  spill(scratch / "model.safetensors", bytes);
  const HfWeights weights(Directory(scratch.path()));
  std::vector<float> two(2);
  weights.read(weights.tensors().at("a"), two, 1);
  EXPECT_EQ(two, (std::vector<float>{2, 3}));
  weights.read(weights.tensors().at("b"), two, 2);
  EXPECT_EQ(two, (std::vector<float>{-1, 0x1p-9f}));
  EXPECT_THROW(weights.read(weights.tensors().at("a"), two, 3), InternalError);
}

HfWrite three_tensors(size_t shard_bytes) {
  return {.config = "{}\n",
          .tensors = {{"a", {{2}, DType::f32}}, {"b", {{3}, DType::f32}}, {"c", {{1}, DType::f32}}},
          .read =
              [](const HfWrite::Tensor& t, std::span<std::byte> bytes) {
                const std::vector<float> v(bytes.size() / 4, float(t.name[0]));
                std::memcpy(bytes.data(), v.data(), bytes.size());
              },
          .shard_bytes = shard_bytes};
}

TEST(HfWrite, CutsFilesBetweenTensors) {
  for (const auto& [shard_bytes, files] : {std::pair{1000, 1}, {20, 2}, {12, 3}, {1, 3}}) {
    const Scratch scratch;
    write_hf(scratch / "out", three_tensors(size_t(shard_bytes)));
    const Directory directory(scratch / "out");
    EXPECT_EQ(directory.names().size(), size_t(files == 1 ? 2 : files + 2)) << shard_bytes;
    const HfWeights weights(directory);
    ASSERT_EQ(weights.tensors().size(), 3u);
    std::vector<float> b(3);
    weights.read(weights.tensors().at("b"), b);
    EXPECT_EQ(b, std::vector<float>(3, 98));
  }
}

TEST(HfWrite, LeavesNothingBehindWhenItFails) {
  const Scratch scratch;
  HfWrite model = three_tensors(1);
  int reads = 0;
  model.read = [&](const HfWrite::Tensor&, std::span<std::byte>) {
    if (++reads == 2) throw CheckpointError("damaged");
  };
  EXPECT_THROW(write_hf(scratch / "out", model), CheckpointError);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

}  // namespace
}  // namespace birkhoff
