// birkhoff bench as a user calls it. No test depends on how long anything took.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

struct Account {  // of a step, as `birkhoff plan --listing` prints it
  int64_t calls = 0;
  double flops = 0, bytes = 0;
};

// Parses "8.attention -   mhc_open   123 flop   456 B …" by operator, without what is in a rounds
// node.
std::map<std::string, Account> account_of(const std::string& listing, int64_t micro_batches) {
  std::map<std::string, Account> all;
  int64_t times = micro_batches;
  std::istringstream in(listing);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("--")) {
      times = line.starts_with("-- update") ? 1 : micro_batches;
      continue;
    }
    if (line.compare(17, 1, " ") == 0) continue;  // indented: in a rounds node
    std::istringstream fields(line);
    std::string phase, segment, name, flop, b;
    double flops = 0, bytes = 0;
    fields >> phase >> segment >> name >> flops >> flop >> bytes >> b;
    EXPECT_EQ(flop + b, "flopB") << line;
    if (name == "rounds") continue;
    Account& a = all[name];
    a.calls += times, a.flops += double(times) * flops, a.bytes += double(times) * bytes;
  }
  return all;
}

class CliBench : public ::testing::Test {
 protected:
  Finished bench(std::vector<std::string> more) {
    more.insert(more.end(),
                {"--steps", "1", "--array-mib", "1", "--json", small_.at("bench.json")});
    return small_.with_config("bench", more);
  }
  json measured() const { return json::parse(slurp(small_.at("bench.json"))); }

  SmallRun small_;
};

TEST_F(CliBench, CountsWhatThePlanCounts) {
  for (const std::string residual : {"plain", "hc", "mhc"}) {
    SCOPED_TRACE(residual);
    const std::string overrides = "model.residual=" + residual;
    const Finished ran = bench({overrides});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Finished listing = small_.with_config("plan", {overrides, "--listing"});
    const Finished plan = small_.with_config("plan", {overrides, "--json"});
    ASSERT_EQ(listing.code + plan.code, 0) << listing.err << plan.err;
    const auto want = account_of(listing.out, 2);
    std::map<std::string, Account> got;
    double flops = 0, bytes = 0;  // of micro-batches
    const json j = measured();
    for (const json& row : j["operators"]) {
      const std::string name = row["operator"];
      const double calls = row["calls"];
      const Account c{int64_t(calls), calls * row["planned_flops"].get<double>(),
                      calls * row["planned_bytes"].get<double>()};
      Account& a = got[name];
      a.calls += c.calls, a.flops += c.flops, a.bytes += c.bytes;
      if (name == "adamw" || name == "squared_sum" || name == "clip_scale" ||
          name == "balance_update")
        continue;
      flops += c.flops, bytes += c.bytes;
    }
    ASSERT_EQ(got.size(), want.size());
    for (const auto& [name, a] : want) {
      EXPECT_EQ(got[name].calls, a.calls) << name;
      EXPECT_EQ(got[name].flops, a.flops) << name;
      EXPECT_EQ(got[name].bytes, a.bytes) << name;
    }
    const json micro_batch = json::parse(plan.out)["micro_batch"];
    EXPECT_EQ(flops, 2 * micro_batch["flops"].get<double>());
    EXPECT_EQ(bytes, 2 * micro_batch["bytes"].get<double>());
    EXPECT_FALSE(std::filesystem::exists(small_.at("run")));
  }
}

// Each of a micro-batch's 64 tokens goes to two experts, whose buffer has exactly 128 rows.
TEST_F(CliBench, CountsTheRowsThatExpertsHad) {
  const auto expect_rows = [&](double rows) {
    int seen = 0;
    const json j = measured();
    for (const json& row : j["operators"]) {
      const std::string name = row["operator"], shapes = row["shapes"];
      if (!name.starts_with("grouped_linear")) continue;
      ++seen;
      EXPECT_THAT(shapes, HasSubstr("f32[128,"));
      EXPECT_DOUBLE_EQ(row["flops"].get<double>() * 128, row["planned_flops"].get<double>() * rows);
      EXPECT_EQ(row["bytes"] < row["planned_bytes"], rows < 128);
    }
    EXPECT_EQ(seen, 6);  // gate and up together, down; each with two gradients
  };
  ASSERT_EQ(bench({}).code, 0);
  expect_rows(128);
  // Three sequences of 32 tokens in two micro-batches of two: padding has no rows.
  ASSERT_EQ(bench({"train.global_batch=3", "train.micro_batch=2"}).code, 0);
  expect_rows(96);
}

TEST_F(CliBench, TellsWhatStreamsCost) {
  const Finished ran = bench({});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json j = measured();
  const double step = j["step"]["median"], plain = j["plain"]["median"];
  double streams = 0, all = 0;
  for (const json& row : j["operators"]) {
    const bool own = row["operator"].get<std::string>().find("mhc") == 0 ||
                     row["operator"].get<std::string>().find("stream") != std::string::npos;
    EXPECT_EQ(row["streams"], own) << row["operator"];
    all += row["step_seconds"].get<double>();
    if (own) streams += row["step_seconds"].get<double>();
  }
  EXPECT_NEAR(j["mhc"]["seconds"].get<double>(), streams, 1e-12);
  EXPECT_NEAR(j["mhc_fraction"].get<double>(), streams / (step - streams), 1e-12);
  EXPECT_NEAR(j["mhc"]["fraction_of_plain_step"].get<double>(), streams / plain, 1e-12);
  EXPECT_NEAR(j["mhc"]["whole_step_difference"]["median"].get<double>(), step / plain - 1, 1e-12);
  EXPECT_EQ(j["mhc"]["alternations"], 1);
  EXPECT_LT(all, step);  // calls do not overlap, and all are in the step
  for (const json& row : j["plain"]["operators"]) EXPECT_EQ(row["streams"], false);

  ASSERT_EQ(bench({"--no-plain"}).code, 0);
  EXPECT_TRUE(measured()["plain"].is_null());
  EXPECT_EQ(measured()["mhc"]["no_plain"], "not measured: --no-plain was given");
  ASSERT_EQ(bench({"model.residual=plain"}).code, 0);
  EXPECT_FALSE(measured().contains("mhc_fraction"));
}

TEST_F(CliBench, SaysWhatItMeasuredAndWhere) {
  const Finished ran = bench({"--scaling", "run.threads=3", "train.precision=bf16"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json j = measured();
  EXPECT_EQ(j["format"], "birkhoff bench 1");
  EXPECT_EQ(j["config"]["model.dim"], "32");
  EXPECT_EQ(j["config"]["data.source"], "random");
  EXPECT_EQ(j["machine"]["threads"], 3);
  EXPECT_EQ(j["limits"]["array_bytes"], 1 << 20);
  for (const char* when : {"before", "after", "used"})
    for (const char* threads : {"one_thread", "all_threads"})
      for (const char* what : {"copy", "copy_streaming", "read", "sweep", "f32_flops"})
        EXPECT_GT(j["limits"][when][threads][what].get<double>(), 0) << when << threads << what;
  ASSERT_EQ(j["limits"]["beside_steps"].size(), j["steps"].get<size_t>());
  for (const json& beside : j["limits"]["beside_steps"])
    for (const char* what : {"copy_streaming", "sweep"}) EXPECT_GT(beside[what].get<double>(), 0);
  const bool pairs = !j["limits"]["used"]["all_threads"]["bf16_flops"].is_null();
  EXPECT_EQ(j["model"]["peak"], pairs ? "bf16" : "f32");
  for (const json& row : j["operators"]) {
    // Products of two bf16 that f32 sums; the router's weight is not rounded, nor is phi.
    const std::string name = row["operator"], shapes = row["shapes"], desc = row["desc"];
    const bool product = name.starts_with("linear") || name.starts_with("grouped_linear") ||
                         name.starts_with("attention");
    const bool router = desc.find("full_w") != std::string::npos ||
                        (name == "linear_dw" && shapes.starts_with("f32"));
    EXPECT_EQ(row["peak"], pairs && product && !router ? "bf16" : "f32") << name << shapes;
  }
  ASSERT_EQ(j["scaling"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(j["scaling"][i]["threads"], i + 1);
  for (const char* word : {"copy, streaming stores", "% floor", "mhc_open", "adamw", "plain",
                           "active parameters", "3 threads"})
    EXPECT_THAT(ran.out, HasSubstr(word));
}

TEST_F(CliBench, RandomTokensWhateverTheConfigsData) {
  EXPECT_EQ(bench({"data.path=" + small_.at("none")}).code, 0);
}

TEST_F(CliBench, RefusesInOneLine) {
  const auto refused = [&](const std::vector<std::string>& more, int code, const char* words) {
    std::vector<std::string> arguments = {"bench"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished ran = birkhoff(arguments);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_THAT(ran.err, ::testing::StartsWith("birkhoff: "));
    EXPECT_THAT(ran.err, HasSubstr(words));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_EQ(ran.out, "");
  };
  const std::string config = small_.at("small.yaml");
  refused({}, 2, "config is required");
  refused({small_.at("none.yaml")}, 2, "cannot open");
  refused({config, "--steps", "0"}, 2, "--steps");
  refused({config, "--steps", "many"}, 2, "--steps");
  refused({config, "--array-mib", "-1"}, 2, "--array-mib");
  refused({config, "model.dimm=3"}, 2, "did you mean 'model.dim'");
  refused({config, "--fast"}, 2, "--fast");
  refused({config, "--json", small_.at("none/bench.json")}, 5, "cannot write to");
}

// The loop above replaces an earlier result each time.
TEST_F(CliBench, ReplacesNothingButAnEarlierResult) {
  const Path file = small_.at("bench.json");
  const auto refused = [&] {
    const Finished ran = bench({});
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("exists and is not a result of birkhoff bench"));
    EXPECT_EQ(ran.out, "");
  };
  for (const std::string text :
       {"my notes", "{}", "[]", "{\"format\": 1}", "\xff", "{\"format\": \"birkhoff benches\"}"}) {
    spill(file, text);
    refused();
    EXPECT_EQ(slurp(file), text);
  }
  std::filesystem::rename(file, small_.at("mine"));
  std::filesystem::create_symlink("mine", file);
  refused();
  EXPECT_TRUE(std::filesystem::is_symlink(file));
  std::filesystem::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  refused();
}

}  // namespace
}  // namespace birkhoff::testing
