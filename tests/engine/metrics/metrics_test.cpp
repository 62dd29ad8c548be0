#include "engine/metrics/metrics.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "tests/support/scratch.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;
using testing::Scratch;
using testing::slurp;
using testing::spill;

constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

StepMetrics step_metrics() {
  return {.step = 7,
          .loss = 5.5,
          .grad_norm = 0.1,
          .lr = 3e-4,
          .tokens = 4096,
          .step_seconds = 0.5,
          .tokens_per_second = 8192};
}

TEST(Metrics, KnownLines) {
  EXPECT_EQ(metrics_line(step_metrics()),
            R"({"step":7,"loss":5.5,"grad_norm":0.1,"lr":0.0003,"tokens":4096,)"
            R"("step_seconds":0.5,"tokens_per_second":8192})"
            "\n");
  StepMetrics full = step_metrics();
  full.extra = {{"h_res_max", 0.25}, {"a \"b\"", 1e-20}};
  full.streams = {{"gain_forward", {1, 1.00000012, kNan}}, {"cosine", {}}};
  full.extra_times = {{"mfu", 0.75}};
  EXPECT_EQ(metrics_line(full),
            R"({"step":7,"loss":5.5,"grad_norm":0.1,"lr":0.0003,"tokens":4096,"h_res_max":0.25,)"
            R"("a \"b\"":1e-20,"streams":{"gain_forward":[1,1,null],"cosine":[]},)"
            R"("step_seconds":0.5,"tokens_per_second":8192,"mfu":0.75})"
            "\n");
  EXPECT_EQ(metrics_line(EvalMetrics{.step = 100,
                                     .eval_loss = 2,
                                     .eval_bits_per_byte = 1.5,
                                     .eval_tokens = 9,
                                     .expert_load = {{1, 2, 3}, {}, {0, 6, 0}},
                                     .eval_seconds = 0.25}),
            R"({"step":100,"eval_loss":2,"eval_bits_per_byte":1.5,"eval_tokens":9,)"
            R"("expert_load":[[1,2,3],[],[0,6,0]],"eval_seconds":0.25})"
            "\n");
}

TEST(Metrics, WhatIsNotFiniteIsNullAndNamed) {
  StepMetrics m = step_metrics();
  m.loss = kNan, m.grad_norm = kInf, m.lr = -kInf, m.tokens_per_second = kInf;
  const std::string line = metrics_line(m);
  EXPECT_EQ(line, R"({"step":7,"loss":null,"grad_norm":null,"lr":null,"tokens":4096,)"
                  R"("nonfinite":{"loss":"nan","grad_norm":"inf","lr":"-inf"},)"
                  R"("step_seconds":0.5,"tokens_per_second":null})"
                  "\n");
  const MetricsLog log = parse_metrics(line, "M");
  ASSERT_EQ(log.records.size(), 1u);
  const auto& values = log.records[0].values;
  EXPECT_TRUE(std::isnan(values.at("loss")));
  EXPECT_EQ(values.at("grad_norm"), kInf);
  EXPECT_EQ(values.at("lr"), -kInf);
  EXPECT_FALSE(values.contains("tokens_per_second"));
}

// Every double is read back with the same bits: subnormal, huge, and of all exponents.
TEST(Metrics, NumbersRoundTripExactly) {
  const Random random(3, "metrics");
  std::string text;
  std::vector<double> wanted = {0.0, -0.0,    5e-324, 1.7976931348623157e308,
                                0.1, 1.0 / 3, 1e22,   1e23};
  for (uint64_t i = 0; i < 5000; ++i) {
    const double x = std::bit_cast<double>(random.bits(i));
    if (std::isfinite(x)) wanted.push_back(x);
  }
  for (const double x : wanted) {
    StepMetrics m = step_metrics();
    m.loss = x;
    text += metrics_line(m);
  }
  const MetricsLog log = parse_metrics(text, "M");
  ASSERT_EQ(log.records.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(log.records[i].values.at("loss")),
              std::bit_cast<uint64_t>(wanted[i]))
        << wanted[i];
  }
}

TEST(Metrics, WriterAppendsWholeLinesAndReaderFindsThem) {
  Scratch scratch;
  const Path path = scratch / "metrics.jsonl";
  std::string expected;
  for (int round = 0; round < 2; ++round) {
    MetricsWriter writer(path);
    StepMetrics m = step_metrics();
    m.step = round + 1;
    writer.write(m);
    expected += metrics_line(m);
    EXPECT_EQ(slurp(path), expected);  // at once, not when the writer ends
    const EvalMetrics e{.step = round + 1, .eval_loss = 1};
    writer.write(e);
    expected += metrics_line(e);
    EXPECT_EQ(slurp(path), expected);
  }
  const MetricsLog log = read_metrics(path);
  ASSERT_EQ(log.records.size(), 4u);
  EXPECT_FALSE(log.torn);
  size_t at = 0;
  for (const MetricsRecord& r : log.records) {
    EXPECT_EQ(r.begin, at);
    at = r.end;
  }
  EXPECT_EQ(at, expected.size());
  EXPECT_EQ(log.records[2].step, 2);
  EXPECT_TRUE(log.records[2].values.contains("loss"));
  EXPECT_FALSE(log.records[3].values.contains("loss"));
}

TEST(Metrics, ATornLastLineIsLeftOutWhereverItWasTorn) {
  const std::string line = metrics_line(step_metrics());
  for (size_t cut = 1; cut < line.size(); ++cut) {
    const MetricsLog log = parse_metrics(line + line.substr(0, cut), "M");
    EXPECT_TRUE(log.torn);
    ASSERT_EQ(log.records.size(), 1u);
    EXPECT_EQ(log.records[0].end, line.size());
  }
}

TEST(Metrics, BrokenLinesAreRefusedWithTheirNumber) {
  const std::string ok = metrics_line(step_metrics());
  const std::string cases[] = {
      "\n",
      "[]\n",
      "{}\n",
      "{\"step\":-1}\n",
      "{\"step\":1.5}\n",
      "{\"step\":8,\"step\":9}\n",
      "{\"step\":6}\n",
      "{\"step\":8,\"a\":[[[[[[1]]]]]]}\n",
      "{\"step\":8,\"a\":\"\xff\"}\n",
      "{\"step\":8,\"a\":1e999}\n",
      std::string("{\"step\":8}\0\n", 12),
      "{\"step\":8,\"nonfinite\":7}\n",
      "{\"step\":8,\"nonfinite\":[]}\n",
      "{\"step\":8,\"a\":null,\"nonfinite\":{\"a\":[]}}\n",
      "{\"step\":8,\"a\":null,\"nonfinite\":{\"a\":\"NaN\"}}\n",
      "{\"step\":8,\"a\":1,\"nonfinite\":{\"a\":\"nan\"}}\n",
      "{\"step\":8,\"nonfinite\":{\"a\":\"nan\"}}\n",
      "{\"step\":8,\"a\":\"" + std::string(size_t(1) << 20, 'x') + "\"}\n",
      std::string(100'000, '[') + "\n",
  };
  for (const std::string& bad : cases) {
    try {
      parse_metrics(ok + bad + ok, "M");
      ADD_FAILURE() << bad.substr(0, 60);
    } catch (const CheckpointError& e) {
      EXPECT_THAT(e.what(), HasSubstr("M:2: ")) << bad.substr(0, 60);
    }
  }
  EXPECT_TRUE(parse_metrics("", "M").records.empty());
  EXPECT_THROW(read_metrics("/nonexistent/metrics.jsonl"), CheckpointError);
}

std::string lines(int64_t last) {
  std::string text;
  for (int64_t step = 1; step <= last; ++step)
    text += metrics_line(StepMetrics{.step = step, .loss = 1.0 / double(step)});
  return text;
}

TEST(CutMetrics, LeavesTheOtherNamesOfAFileAlone) {
  const Scratch scratch;
  spill(scratch / "mine", lines(5));
  std::filesystem::create_hard_link(scratch / "mine", scratch / "metrics.jsonl");
  cut_metrics(scratch / "metrics.jsonl", 3);
  MetricsWriter(scratch / "metrics.jsonl").write(StepMetrics{.step = 4});
  EXPECT_EQ(slurp(scratch / "mine"), lines(5));
  EXPECT_EQ(read_metrics(scratch / "metrics.jsonl").records.size(), 4u);
}

TEST(CutMetrics, RefusesWhatIsNoRegularFile) {
  const Scratch scratch;
  spill(scratch / "mine", lines(5));
  std::filesystem::create_symlink(scratch / "mine", scratch / "link");
  ASSERT_EQ(::mkfifo((scratch / "fifo").c_str(), 0600), 0);
  for (const char* name : {"link", "fifo"}) {
    EXPECT_THROW(cut_metrics(scratch / name, 3), ResourceError) << name;
    EXPECT_THROW(MetricsWriter(scratch / name), ResourceError) << name;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(scratch / name)));
  }
  EXPECT_EQ(slurp(scratch / "mine"), lines(5));
}

TEST(MetricsWriter, NoticesThatItsFileWasRemoved) {
  const Scratch scratch;
  const MetricsWriter writer(scratch / "metrics.jsonl");
  EXPECT_FALSE(writer.removed());
  std::filesystem::rename(scratch / "metrics.jsonl", scratch / "moved");
  EXPECT_FALSE(writer.removed());
  std::filesystem::remove(scratch / "moved");
  EXPECT_TRUE(writer.removed());
}

}  // namespace
}  // namespace birkhoff
