// train --trace as a user calls it: the timeline holds what the run did, in order, once.
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/support/small_run.h"

namespace birkhoff::testing {
namespace {

using nlohmann::json;

struct Slice {
  std::string name, category;
  int64_t begin, end, step;  // nanoseconds
};
using Track = std::vector<Slice>;

// The tracks of a file by their names; each slice is on the track of its rank.
std::map<std::string, Track> tracks_of(const std::string& path, int rank) {
  const json file = json::parse(slurp(path));
  EXPECT_EQ(file["otherData"]["rank"], rank);
  EXPECT_EQ(file["otherData"]["left_out"], 0);
  std::map<int, std::string> names;
  std::map<std::string, Track> tracks;
  for (const json& e : file["traceEvents"]) {
    EXPECT_EQ(e["pid"], rank);
    if (e["ph"] == "M" && e["name"] == "thread_name") names[e["tid"]] = e["args"]["name"];
    if (e["ph"] == "M") continue;
    EXPECT_EQ(e["ph"], "X");
    const int64_t begin = std::llround(1000 * e["ts"].get<double>());
    const int64_t length = std::llround(1000 * e["dur"].get<double>());
    EXPECT_GE(length, 0);
    tracks[names.at(e["tid"])].push_back(
        {e["name"], e["cat"], begin, begin + length, e["args"]["step"]});
  }
  for (const auto& [name, track] : tracks)
    for (size_t i = 1; i < track.size(); ++i)
      EXPECT_LE(track[i - 1].end, track[i].begin) << name << ": " << track[i].name << " " << i;
  return tracks;
}

// Operators in the listing by section, in order, without rounds nodes and their contents.
std::map<std::string, std::vector<std::string>> listed(const std::string& listing) {
  std::map<std::string, std::vector<std::string>> sections;
  std::string section;
  std::istringstream in(listing);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("-- ")) {
      section = line.substr(3);
      continue;
    }
    const std::string name = line.substr(17, line.find(' ', 17) - 17);
    if (!name.empty() && name != "rounds") sections[section].push_back(name);
  }
  return sections;
}

std::vector<std::string> names(const Track& track, const std::string& category,
                               const Slice& within) {
  std::vector<std::string> found;
  for (const Slice& s : track)
    if (s.category == category && s.begin >= within.begin && s.end <= within.end)
      found.push_back(s.name);
  return found;
}

class CliTrace : public ::testing::Test {
 protected:
  SmallRun small_;
};

// Two micro-batches per step; evaluations and checkpoints after steps 3 and 6.
TEST_F(CliTrace, HoldsWhatTheListingSaysInTheActivitiesOfItsPass) {
  const Finished ran = small_.with_config("train", {"--trace=6"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Finished listing = small_.with_config("plan", {"--listing"});
  auto want = listed(listing.out);
  ASSERT_EQ(want.size(), 4u) << listing.out;
  auto tracks = tracks_of(small_.at("run/trace/rank-0000.json"), 0);
  const Track &activities = tracks["activity"], &operators = tracks["operators"];
  std::map<std::string, int> counts;
  std::map<int64_t, size_t> in_step;  // operators outside of evaluations
  size_t placed = 0;
  for (const Slice& activity : activities) {
    ++counts[activity.name];
    SCOPED_TRACE(fmt::format("{} of step {}", activity.name, activity.step));
    const auto forward = names(operators, "forward", activity);
    const auto backward = names(operators, "backward", activity);
    const auto weight = names(operators, "weight_gradient", activity);
    const auto update = names(operators, "update", activity);
    placed += forward.size() + backward.size() + weight.size() + update.size();
    using Names = std::vector<std::string>;
    const bool back = activity.name == "backward";
    if (activity.name != "evaluate") {
      EXPECT_EQ(forward, activity.name == "forward" ? want["forward"] : Names());
    }
    EXPECT_EQ(backward, back ? want["input gradients"] : Names());
    EXPECT_EQ(weight, back ? want["weight gradients"] : Names());
    EXPECT_EQ(update, activity.name == "update" ? want["update, once per step"] : Names());
    EXPECT_EQ(forward.size() > 0, activity.name == "forward" || activity.name == "evaluate");
  }
  EXPECT_EQ(placed, operators.size());  // each lies in one activity
  EXPECT_EQ(counts, (std::map<std::string, int>{{"data", 6},
                                                {"forward", 12},
                                                {"backward", 12},
                                                {"reduce", 6},
                                                {"update", 6},
                                                {"evaluate", 2},
                                                {"save", 2}}));
  for (const Slice& s : operators) {
    EXPECT_TRUE(s.step >= 1 && s.step <= 6);
    in_step[s.step] += 1;
  }
  EXPECT_EQ(in_step[1], in_step[2]);
  EXPECT_EQ(tracks.count("communication"), 0u);  // one rank waits for nobody
}

TEST_F(CliTrace, OfAFewStepsByDefaultAndOfThoseThatThereAre) {
  const auto steps_of = [&] {
    std::set<int64_t> steps;
    const auto tracks = tracks_of(small_.at("run/trace/rank-0000.json"), 0);
    for (const Slice& s : tracks.at("operators")) steps.insert(s.step);
    return steps;
  };
  ASSERT_EQ(small_.with_config("train", {"train.stop_at=4", "--trace"}).code, 0);
  EXPECT_EQ(steps_of(), (std::set<int64_t>{1, 2, 3}));
  ASSERT_EQ(small_.with_config("train", {"--trace=100"}).code, 0);  // continues with step 5
  EXPECT_EQ(steps_of(), (std::set<int64_t>{5, 6}));
  std::filesystem::remove_all(small_.at("run"));
  ASSERT_EQ(small_.with_config("train").code, 0);
  EXPECT_FALSE(std::filesystem::exists(small_.at("run/trace")));
}

TEST_F(CliTrace, EachRankWritesItsOwn) {
  const Finished ran =
      run_program({BIRKHOFF_SOURCE_DIR "/launch/mpirun.sh", "-np", "2", BIRKHOFF_BINARY, "train",
                   small_.at("small.yaml"), "--trace=2"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const size_t listed_calls = [&] {
    size_t n = 0;
    for (const auto& [section, calls] : listed(small_.with_config("plan", {"--listing"}).out))
      n += calls.size();
    return n;
  }();
  for (const int rank : {0, 1}) {
    auto tracks = tracks_of(small_.at(fmt::format("run/trace/rank-{:04d}.json", rank)), rank);
    EXPECT_EQ(tracks["operators"].size(), 2 * listed_calls);  // one micro-batch of two each
    std::set<std::string> calls;
    for (const Slice& s : tracks["communication"]) calls.insert(s.name);
    EXPECT_THAT(calls, ::testing::IsSupersetOf({"all_reduce", "all_to_all", "all_gather"}));
  }
}

TEST_F(CliTrace, BadNumbersOfSteps) {
  for (const char* steps : {"--trace=0", "--trace=-1", "--trace=some"}) {
    const Finished ran = small_.with_config("train", {steps});
    EXPECT_EQ(ran.code, 2) << steps << ran.err;
    EXPECT_THAT(ran.err, ::testing::HasSubstr("--trace"));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(small_.at("run")));
  }
}

// A run is worth more than its timeline.
TEST_F(CliTrace, WhatCannotBeWrittenIsSaid) {
  std::filesystem::create_directories(small_.at("run"));
  spill(small_.at("run/trace"), "in the way");
  const Finished ran = small_.with_config("train", {"--trace"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.err,
              ::testing::HasSubstr(
                  "no timeline was written, but training continues: cannot create the directory"));
  EXPECT_TRUE(std::filesystem::exists(small_.at("run/checkpoints/step-00000006")));
}

}  // namespace
}  // namespace birkhoff::testing
