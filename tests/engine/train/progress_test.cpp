#include "engine/train/progress.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <limits>

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

const Progress kProgress{
    .step = 120, .steps = 2000, .loss = 3.21449, .tokens_per_second = 12345, .seconds_left = 192};

TEST(ProgressLine, Whole) {
  EXPECT_EQ(progress_line(kProgress, 80),
            "step 120/2000 (6%)  loss 3.2145  12.3k tokens/s  ETA 3m12s");
}

TEST(ProgressLine, LosesTheLeastImportantFirst) {
  const std::string all = progress_line(kProgress, 80);
  const int full = int(all.size());
  EXPECT_EQ(progress_line(kProgress, full), all);
  EXPECT_EQ(progress_line(kProgress, full - 1),
            "step 120/2000  loss 3.2145  12.3k tokens/s  ETA 3m12s");
  EXPECT_EQ(progress_line(kProgress, 40), "step 120/2000  loss 3.2145  ETA 3m12s");
  EXPECT_EQ(progress_line(kProgress, 30), "step 120/2000  loss 3.2145");
  EXPECT_EQ(progress_line(kProgress, 20), "step 120/2000");
  EXPECT_EQ(progress_line(kProgress, 6), "step 1");
  EXPECT_EQ(progress_line(kProgress, 0), "");
  EXPECT_EQ(progress_line(kProgress, -1), "");
  for (int width = 0; width < 90; ++width)
    EXPECT_LE(int(progress_line(kProgress, width).size()), width);
}

TEST(ProgressLine, HasTheEpochWhereDataRepeats) {
  Progress p = kProgress;
  p.epoch = 0.306;
  EXPECT_EQ(progress_line(p, 80),
            "step 120/2000 (6%)  epoch 0.31  loss 3.2145  12.3k tokens/s  ETA 3m12s");
  EXPECT_EQ(progress_line(p, 69),
            "step 120/2000  epoch 0.31  loss 3.2145  12.3k tokens/s  ETA 3m12s");
  EXPECT_EQ(progress_line(p, 55), "step 120/2000  loss 3.2145  12.3k tokens/s  ETA 3m12s");
}

TEST(ProgressLine, UnknownNumbersAreLeftOut) {
  Progress p = kProgress;
  const double inf = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -1.0, inf, std::nan("")}) {
    p.tokens_per_second = bad;
    p.seconds_left = bad == 0 ? -1 : bad;
    EXPECT_EQ(progress_line(p, 80), "step 120/2000 (6%)  loss 3.2145");
  }
  p.loss = std::nan("");
  EXPECT_EQ(progress_line(p, 80), "step 120/2000 (6%)  loss nan");
  p.steps = 0;
  EXPECT_EQ(progress_line(p, 80), "step 120/0  loss nan");
}

TEST(ProgressLine, Durations) {
  EXPECT_EQ(short_duration(0), "0s");
  EXPECT_EQ(short_duration(59.4), "59s");
  EXPECT_EQ(short_duration(59.6), "1m00s");
  EXPECT_EQ(short_duration(3599), "59m59s");
  EXPECT_EQ(short_duration(18420), "5h07m");
  EXPECT_EQ(short_duration(1051200), "12d04h");
  EXPECT_EQ(short_duration(1e300), "?");
  EXPECT_EQ(short_duration(std::nan("")), "?");
}

TEST(ProgressLine, Counts) {
  EXPECT_EQ(short_count(0.4), "0");
  EXPECT_EQ(short_count(987), "987");
  EXPECT_EQ(short_count(999.4), "999");
  EXPECT_EQ(short_count(999.6), "1.00k");
  EXPECT_EQ(short_count(9994), "9.99k");
  EXPECT_EQ(short_count(9996), "10.0k");
  EXPECT_EQ(short_count(99949), "99.9k");
  EXPECT_EQ(short_count(123456), "123k");
  EXPECT_EQ(short_count(4.56e6), "4.56M");
  EXPECT_EQ(short_count(1e18), "1000000T");
}

std::string drain(int fd) {
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t n = ::read(fd, part.data(), part.size());
    if (n <= 0) return text;
    text.append(part.data(), size_t(n));
  }
}

TEST(ProgressDisplay, PlainLinesNowAndThen) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  ProgressDisplay display({.descriptor = ends[1], .steps = 100, .plain_seconds = 10}, 1000);
  display.step(1, 5, 100, 1004);  // slow: it warms up
  for (int s = 2; s <= 100; ++s) display.step(s, 5.0 / s, 100, 1004 + s - 1);
  display.clear();
  display.finish();
  const std::string text = drain(ends[0]);
  EXPECT_EQ(text.find_first_of("\r\x1b"), text.npos);
  EXPECT_THAT(text,
              ::testing::StartsWith("step 1/100 (1%)  loss 5.0000  25 tokens/s  ETA 6m36s\n"
                                    "step 11/100 (11%)  loss 0.4545  100 tokens/s  ETA 1m29s\n"));
  EXPECT_THAT(text,
              ::testing::EndsWith("step 100/100 (100%)  loss 0.0500  100 tokens/s  ETA 0s\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(ProgressDisplay, ATerminalsLineIsRewrittenInPlace) {
  int terminal, program;
  const winsize size{.ws_row = 24, .ws_col = 31, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::openpty(&terminal, &program, nullptr, nullptr, &size), 0);
  ::fcntl(terminal, F_SETFL, O_NONBLOCK);
  ProgressDisplay display({.descriptor = program, .steps = 10}, 0);
  display.clear();               // nothing is shown yet
  display.step(1, 2.5, 100, 0);  // no time has passed
  display.step(2, 1.25, 100, 1);
  display.clear();
  display.finish();  // cleared: no line to end
  display.step(3, 1, 100, 2);
  display.finish();
  EXPECT_EQ(drain(terminal),
            "\rstep 1/10  loss 2.5000  ETA 0s\x1b[K"
            "\rstep 2/10  loss 1.2500  ETA 8s\x1b[K"
            "\r\x1b[K"
            "\rstep 3/10  loss 1.0000  ETA 7s\x1b[K\r\n");
  ::close(program);
  ::close(terminal);
}

TEST(WorkDisplay, PlainLinesNowAndThen) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  constexpr size_t kGiB = size_t(1) << 30;
  {
    WorkDisplay display({.done = "imported", .descriptor = ends[1]}, 1000);
    for (size_t s = 0; s <= 40; ++s) display.at(s * kGiB / 4, 10 * kGiB, 1000.0 + double(s));
  }
  EXPECT_EQ(drain(ends[0]),
            "imported 2.5 of 10.0 GiB (25%)  ETA 30s\n"
            "imported 5.0 of 10.0 GiB (50%)  ETA 20s\n"
            "imported 7.5 of 10.0 GiB (75%)  ETA 10s\n"
            "imported 10.0 of 10.0 GiB (100%)  ETA 0s\n");
  WorkDisplay short_work({.done = "scored", .tokens = true, .descriptor = ends[1]}, 0);
  short_work.at(0, 100, 9);
  EXPECT_EQ(drain(ends[0]), "");
  short_work.at(0, 100000, 10);  // how long it takes is not known yet
  short_work.at(50000, 100000, 20);
  EXPECT_EQ(drain(ends[0]),
            "scored 0 of 100k tokens (0%)\n"
            "scored 50.0k of 100k tokens (50%)  ETA 20s\n");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(WorkDisplay, ATerminalsLineGoesWithIt) {
  int terminal, program;
  const winsize size{.ws_row = 24, .ws_col = 20, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::openpty(&terminal, &program, nullptr, nullptr, &size), 0);
  ::fcntl(terminal, F_SETFL, O_NONBLOCK);
  {
    WorkDisplay display({.done = "scored", .tokens = true, .descriptor = program}, 0);
    display.at(10, 100, 0.4);
    display.at(20, 100, 0.5);
    display.at(30, 100, 0.9);
  }
  EXPECT_EQ(drain(terminal), "\rscored 20 of 100 to\x1b[K\r\x1b[K");
  ::close(program);
  ::close(terminal);
}

TEST(ProgressDisplay, AClosedTerminalEndsNothing) {
  ProgressDisplay display({.descriptor = -1, .steps = 1}, 0);
  display.step(1, 1, 1, 1);
  display.finish();
}

}  // namespace
}  // namespace birkhoff
