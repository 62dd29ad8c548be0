#include "engine/data/token_list.h"

#include <gmock/gmock.h>

#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TokenList, IdsStandBetweenSpacesOrCommas) {
  const auto ids = [](std::string_view text) { return parse_token_list(text, "f"); };
  EXPECT_THAT(ids("1 2\n3\r\n\t4"), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ids("0,1 , 2147483647\n"), ElementsAre(0, 1, 2147483647));
  EXPECT_THAT(ids(" [10,\n 20] "), ElementsAre(10, 20));
  EXPECT_THAT(ids(""), ElementsAre());
  EXPECT_THAT(ids("[]\n"), ElementsAre());
}

TEST(TokenList, AnythingElseIsRefusedWithItsByte) {
  for (const auto& [text, byte] : std::map<std::string, int>{{"1 2x", 3},
                                                             {"1.5", 1},
                                                             {"1,,2", 2},
                                                             {"1,", 2},
                                                             {",1", 0},
                                                             {"-1", 0},
                                                             {"1-2", 1},
                                                             {"+1", 0},
                                                             {"007", 0},
                                                             {"0x10", 1},
                                                             {"[1 2]", 3},
                                                             {"[1,2", 4},
                                                             {"1]2", 1},
                                                             {"[1][2]", 3},
                                                             {"[[1]]", 1},
                                                             {"1 [2]", 2},
                                                             {"[1,]", 3},
                                                             {"2147483648", 0},
                                                             {"1e3", 1},
                                                             {"\"1\"", 0},
                                                             {"\xEF\xBB\xBF"
                                                              "1",
                                                              0},
                                                             {std::string("1\0", 2), 1},
                                                             {"one", 0}}) {
    EXPECT_THAT(data_error([&] { parse_token_list(text, "tokens.txt"); }),
                HasSubstr(fmt::format("tokens.txt: byte {}: ", byte)))
        << text;
  }
}

}  // namespace
}  // namespace birkhoff::testing
