// What is computed from given measurements.
#include "engine/train/bench_report.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "engine/train/operator_kinds.h"
#include "kernels/adamw.h"
#include "kernels/identity.h"
#include "kernels/linear.h"
#include "kernels/mhc.h"
#include "kernels/streams.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

OperatorRow row(const Operator& op, std::vector<float> seconds, std::vector<double> in_step,
                Cost done) {
  OperatorRow r;
  r.op = &op, r.shapes = "f32[2] → f32[2]";
  r.seconds = std::move(seconds), r.in_step = std::move(in_step), r.done = done;
  return r;
}

// Three steps of 10, 8 and 9 s. PeakRates: 100 B/s, 50 flop/s, 200 flop/s for pairs of bf16.
BenchResult given() {
  BenchResult r;
  r.threads = 2;
  r.machine = {.cpu = "a CPU", .cores = 2, .l1 = 1 << 15, .l2 = 1 << 20, .l3 = 1 << 25};
  r.array_bytes = size_t(4) << 25;
  r.config.train.precision = Precision::bf16;
  r.config.train.global_batch = 2, r.config.train.sequence = 5;
  r.parameters = {.total = 9, .active = 4, .hyper_connections = 1};
  r.before.all = {
      .copy = 100, .copy_streaming = 60, .read = 70, .sweep = 80, .f32 = 40, .bf16 = 200};
  r.after.all = {.copy = 90, .copy_streaming = 60, .read = 70, .sweep = 70, .f32 = 50, .bf16 = 100};
  r.before.one = r.before.all, r.after.one = r.after.all;
  r.step.seconds = {10, 8, 9};
  r.step.beside = {{.copy_streaming = 400, .sweep = 80}, {200, 40}, {100, 160}};
  OperatorRow linear =
      row(kLinear, {1, 2, 3, 1, 2, 4}, {3, 4, 6}, {.flops = 6 * 100, .bytes = 6 * 20});
  linear.bf16_factors = true;
  r.step.operators = {
      row(kAdamW, {0.5, 0.5, 0.25}, {0.5, 0.5, 0.25}, {.flops = 30, .bytes = 60}),
      linear,
      row(kMhcOpen, {2, 1, 1.5}, {2, 1, 1.5}, {.flops = 3, .bytes = 300}),
      row(kSumStreams, {0, 1, 0}, {0, 1, 0}, {.flops = 3, .bytes = 3}),
      row(kIdentity, {}, {0, 0, 0}, {}),
  };
  r.plain.emplace().seconds = {8, 8, 6};
  return r;
}

TEST(BenchReport, Median) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({3, 1}), 2);
  EXPECT_EQ(median({5, 1, 2}), 2);
  EXPECT_EQ(median({5, 1, 2, 4}), 3);
}

TEST(BenchReport, FloorsOfMemoryAndOfTheFactorsPeak) {
  const BenchResult r = given();
  const auto of = [&](size_t i) { return summary_of(r.step.operators[i], r.step, r.limits()); };
  // 100 flop per call at 200 per second, 20 bytes at 100: half a second. In f32 it would be two.
  EXPECT_EQ(of(1).calls, 2);
  EXPECT_EQ(of(1).median, 2);
  EXPECT_EQ(of(1).least, 1);
  EXPECT_EQ(of(1).floor, 0.5);
  EXPECT_FALSE(of(1).memory_bound);
  EXPECT_DOUBLE_EQ(of(1).step_seconds, 13.0 / 3);
  EXPECT_DOUBLE_EQ(of(1).share, 13.0 / 27);
  // 100 bytes per call at the best bandwidth, 1 flop at 50 per second.
  EXPECT_EQ(of(2).floor, 1);
  EXPECT_TRUE(of(2).memory_bound);
  EXPECT_EQ(of(2).bytes, 100);
}

TEST(BenchReport, Streams) {
  const StreamsSummary s = streams_of(given());
  // 2 of 10, 2 of 8, 1.5 of 9 seconds.
  EXPECT_EQ(s.seconds, 2);
  EXPECT_DOUBLE_EQ(s.fraction, 0.25);
  EXPECT_DOUBLE_EQ(s.least, 1.5 / 7.5);
  EXPECT_DOUBLE_EQ(s.most, 2.0 / 6);
  EXPECT_DOUBLE_EQ(s.of_plain, 2.0 / 8);
  EXPECT_DOUBLE_EQ(s.whole, 0.25);
  EXPECT_DOUBLE_EQ(s.whole_least, 0);
  EXPECT_DOUBLE_EQ(s.whole_most, 0.5);
}

TEST(BenchReport, Totals) {
  const BenchResult r = given();
  const GroupSummary products = group_of(r, is_matrix_product);
  EXPECT_DOUBLE_EQ(products.flops, 200);
  EXPECT_DOUBLE_EQ(products.seconds, 13.0 / 3);
  EXPECT_DOUBLE_EQ(products.share_of_peak, 200.0 / 200 / (13.0 / 3));
  EXPECT_EQ(group_of(r, is_attention).share_of_peak, 0);
  const ModelSummary model = model_of(r);
  EXPECT_EQ(model.flops, 6 * 4 * 10);
  EXPECT_TRUE(model.bf16);
  EXPECT_DOUBLE_EQ(model.share_of_peak, 240.0 / 9 / 200);
}

TEST(BenchReport, PassesAgainstTheBandwidthOfTheirStep) {
  BenchResult r = given();
  // 20 bytes per step in 0.5, 0.5 and 0.25 seconds: 40, 40 and 80 per second.
  const PassSummary update = update_of(r);
  EXPECT_DOUBLE_EQ(update.bandwidth, 40);
  EXPECT_DOUBLE_EQ(update.share, 0.5);
  EXPECT_DOUBLE_EQ(update.least, 0.5);
  EXPECT_DOUBLE_EQ(update.most, 1);
  EXPECT_FALSE(closes_of(r).exists());
  r.step.operators.push_back(row(kMhcClose, {1, 2, 1}, {1, 2, 1}, {.flops = 0, .bytes = 300}));
  r.step.operators.push_back(
      row(kMhcCloseBackward, {1, 2, 1}, {1, 2, 1}, {.flops = 0, .bytes = 900}));
  const PassSummary closes = closes_of(r);  // 400 bytes in 2, 4 and 2 seconds
  EXPECT_DOUBLE_EQ(closes.bandwidth, 200);
  EXPECT_DOUBLE_EQ(closes.share, 0.5);
  EXPECT_DOUBLE_EQ(closes.most, 2);
}

TEST(BenchReport, TableAndJson) {
  BenchResult r = given();
  const std::string table = to_table(r);
  for (const char* text : {"9.0000 s median, 8.0000 min; 10 tokens, 1.1 tokens/s",
                           "13.3 % of the bf16 peak", "25.00 % (20.00 to 33.33)"})
    EXPECT_THAT(table, HasSubstr(text));
  EXPECT_LT(table.find("linear"), table.find("mhc_open"));    // sorted by time
  EXPECT_THAT(table, ::testing::Not(HasSubstr("identity")));  // it was not called
  EXPECT_THAT(table, ::testing::Not(HasSubstr("NOT much larger")));
  const auto j = nlohmann::json::parse(to_json(r, "a.yaml"));
  EXPECT_EQ(j["mhc_fraction"], 0.25);
  EXPECT_EQ(j["operators"].size(), 4u);
  EXPECT_EQ(j["limits"]["used"]["all_threads"]["f32_flops"], 50);
  EXPECT_EQ(j["limits"]["beyond_l3"], true);
  r.array_bytes = r.machine.l3;
  EXPECT_THAT(to_table(r), HasSubstr("NOT much larger than L3"));
  r.machine.l3 = 0;
  EXPECT_THAT(to_table(r), HasSubstr("the size of L3 is not known"));
}

}  // namespace
}  // namespace birkhoff::testing
