#include "engine/config/number.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cstdint>
#include <limits>

namespace birkhoff {
namespace {

TEST(Number, Integers) {
  const auto read = [](std::string_view text) {
    int64_t value = -77;
    EXPECT_EQ(read_integer(text, value), NumberFault::none) << text;
    return value;
  };
  EXPECT_EQ(read("0"), 0);
  EXPECT_EQ(read("-0"), 0);
  EXPECT_EQ(read("+12"), 12);
  EXPECT_EQ(read("-12"), -12);
  EXPECT_EQ(read("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(read("-9223372036854775808"), INT64_MIN);
  uint64_t seed = 0;
  EXPECT_EQ(read_integer("18446744073709551615", seed), NumberFault::none);
  EXPECT_EQ(seed, UINT64_MAX);
}

TEST(Number, WhatOthersReadAsIntegers) {
  int64_t value = -77;
  for (const char* text :
       {"",    "+",  "-",  "0x10", "0o17", "0b1", "1_000", "1:30", "190:20:30", "1e3",
        "1.0", "1.", " 1", "1 ",   "--1",  "+-1", "-+1",   "1k",   "one",       "١"})
    EXPECT_EQ(read_integer(text, value), NumberFault::form) << text;
  for (const char* text : {"017", "00", "-01", "+08"})
    EXPECT_EQ(read_integer(text, value), NumberFault::leading_zero) << text;
  for (const char* text : {"9223372036854775808", "-9223372036854775809"})
    EXPECT_EQ(read_integer(text, value), NumberFault::range) << text;
  EXPECT_EQ(value, -77);
}

TEST(Number, Reals) {
  const auto read = [](std::string_view text) {
    double value = -77;
    EXPECT_EQ(read_real(text, value), NumberFault::none) << text;
    return value;
  };
  EXPECT_EQ(read("0.1"), 0.1);
  EXPECT_EQ(read("+.5"), 0.5);
  EXPECT_EQ(read("-5."), -5.0);
  EXPECT_EQ(read("12"), 12.0);
  EXPECT_EQ(read("1e-20"), 1e-20);
  EXPECT_EQ(read("8.6E-4"), 8.6e-4);
  EXPECT_EQ(read("1.7976931348623157e+308"), DBL_MAX);
  EXPECT_EQ(read("4.9406564584124654e-324"), std::numeric_limits<double>::denorm_min());
}

TEST(Number, RealsThatAreNone) {
  double value = -77;
  for (const char* text : {"", ".", "-", "e5", "1e", "1e+", "1.2.3", "0x1p3", "1_0.5", "inf", "nan",
                           "NaN", "Infinity", "1e5f", "1,5", " 1", "..inf"})
    EXPECT_EQ(read_real(text, value), NumberFault::form) << text;
  for (const char* text : {".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e309", "-1e999", "1e-400"})
    EXPECT_EQ(read_real(text, value), NumberFault::not_finite) << text;
  EXPECT_EQ(value, -77);
}

}  // namespace
}  // namespace birkhoff
