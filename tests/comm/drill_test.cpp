#include "comm/drill.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "comm/beacon.h"

namespace birkhoff::testing {
namespace {

using ::testing::HasSubstr;

std::string refusal(const std::string& text) {
  try {
    Drill drill(text);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Drill, RefusesWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "'' is not of the form key=value"},
      {"rank=1", "at is missing"},
      {"at=save,kind=throw", "rank is missing"},
      {"rank=1,at=save", "kind is missing"},
      {"rank=1,at=save,kind=throw,", "'' is not of the form key=value"},
      {"rank=1,,at=save,kind=throw", "'' is not of the form key=value"},
      {"rank=1,at=save,kind=throw,rank=2", "rank is given twice"},
      {"rank=-1,at=save,kind=throw", "rank=-1 is not a number from 0"},
      {"rank=+1,at=save,kind=throw", "rank=+1 is not a number"},
      {"rank=1x,at=save,kind=throw", "rank=1x is not a number"},
      {"rank= 1,at=save,kind=throw", "rank= 1 is not a number"},
      {"rank=,at=save,kind=throw", "rank= is not a number"},
      {"rank=99999999999999999999,at=save,kind=throw", "is not a number"},
      {"rank=2147483648,at=save,kind=throw", "is not a number"},
      {"rank=1,step=-3,at=save,kind=throw", "step=-3 is not a number from 0"},
      {"rank=1,at=save,kind=throw,count=0", "count=0 is not a number from 1"},
      {"rank=1,at=saving,kind=throw", "at=saving is not one of init, load, data"},
      {"rank=1,at=all_reduces,kind=throw", "at=all_reduces is not one of"},
      {"rank=1,at=save,kind=Throw", "kind=Throw is not one of throw, segv"},
      {"rank=1,at=save,kind=", "kind= is not one of"},
      {"rank=1,at=save,kind=throw,when=now", "unknown key 'when'"},
      {"rank=1,at=sa\nve,kind=throw", "at=sa\\x0ave is not one of"},
  };
  for (const auto& [text, why] : cases) EXPECT_THAT(refusal(text), HasSubstr(why)) << text;
  for (const char* text :
       {"rank=0,at=init,kind=stop", "kind=loop,count=3,at=barrier,step=0,rank=7"})
    EXPECT_EQ(refusal(text), "accepted");
}

// The visits of a place at which a drill throws.
std::vector<int> thrown(Drill drill, int rank, int64_t step, std::string_view place) {
  std::vector<int> at;
  for (int visit = 1; visit <= 3; ++visit) try {
      drill.at(rank, step, place);
    } catch (const InternalError&) {
      at.push_back(visit);
    }
  return at;
}

TEST(Drill, ActsOnceWhereAllFits) {
  const Drill drill("rank=1,step=3,at=backward,kind=throw,count=2");
  EXPECT_EQ(thrown(drill, 1, 3, "backward"), std::vector<int>{2});
  EXPECT_EQ(thrown(drill, 0, 3, "backward"), std::vector<int>{});
  EXPECT_EQ(thrown(drill, 1, 2, "backward"), std::vector<int>{});
  EXPECT_EQ(thrown(drill, 1, 3, "forward"), std::vector<int>{});
  EXPECT_EQ(thrown(Drill("rank=1,at=save,kind=throw"), 1, 77, "save"), std::vector<int>{1});
}

TEST(Drill, FollowsTheBeacon) {
  Drill drill("rank=2,step=3,at=all_reduce,kind=throw");
  Beacon beacon;
  beacon.rehearse(drill, 2);
  const auto reduce = [&] {
    beacon.begin({.sequence = 1, .operation = "all_reduce", .bytes = 8});
    beacon.end();
  };
  beacon.enter(2, Activity::reduce);
  reduce();
  beacon.enter(3, Activity::reduce);
  beacon.begin({.sequence = 2, .operation = "barrier", .bytes = 0});
  beacon.end();
  EXPECT_THROW(reduce(), InternalError);
  EXPECT_FALSE(beacon.snapshot().waiting);  // it never reached the collective
}

}  // namespace
}  // namespace birkhoff::testing
