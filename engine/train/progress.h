#pragma once
// Shows the progress of long work: on a terminal one line, rewritten in place; elsewhere a plain
// line now and then:
//
//   step 120/2000 (6%)  epoch 0.31  loss 3.2145  12.3k tokens/s  ETA 3m12s
//   imported 3.2 of 12.0 GiB (27%)  ETA 1m03s
#include <cstdint>
#include <string>
#include <string_view>

namespace birkhoff {

struct Progress {
  int64_t step = 0, steps = 0;
  double loss = 0;
  double epoch = -1;             // passes over the data so far; < 0: not known
  double tokens_per_second = 0;  // ≤ 0 or not finite: not known yet
  double seconds_left = -1;      // < 0 or not finite: not known yet
};

// At most `width` characters. As it gets narrower, the percentage is left out, then the epoch, the
// rate, the ETA, the loss; at last the line is cut.
std::string progress_line(const Progress& progress, int width);
std::string short_duration(double seconds);  // "42s", "3m12s", "5h07m", "12d04h"
std::string short_count(double value);       // "987", "12.3k", "4.56M"

// The time to pass to the displays below.
double steady_seconds();

// One line on a terminal, plain lines elsewhere. Errors of writing are ignored: a closed terminal
// does not end a run.
class StatusLine {
 public:
  explicit StatusLine(int descriptor);
  bool terminal() const { return terminal_; }
  int width() const;  // the most characters of a line
  void show(const std::string& line);
  // Clears the line on a terminal, so that other output may follow; the next show() draws it again.
  void clear();
  // Keeps the last line and ends it with a newline.
  void finish();

 private:
  void write(std::string_view text) const;

  int descriptor_;
  bool terminal_;
  std::string shown_;  // on the terminal now
};

// The caller passes the time, in seconds of any steady clock. Not synchronised.
class ProgressDisplay {
 public:
  struct Options {
    int descriptor = 2;
    int64_t first_step = 1, steps = 0;
    double epoch = -1, step_epochs = 0;  // before the first step; per step. < 0: not shown
    double plain_seconds = 10;           // between lines, if not on a terminal
  };
  ProgressDisplay(const Options& options, double now);

  // To be called after each step. Plain lines are for the first and last step and every
  // plain_seconds.
  void step(int64_t step, double loss, int64_t step_tokens, double now);
  void clear() { line_.clear(); }
  void finish() { line_.finish(); }

 private:
  Options options_;
  StatusLine line_;
  double last_step_;         // when the last step ended
  double last_line_;         // when the last plain line was written
  double step_seconds_ = 0;  // smoothed
};

// Shows work that is counted in bytes or tokens. Nothing is shown if it ends within half a second
// or, if not on a terminal, within plain_seconds. The line disappears with the display.
class WorkDisplay {
 public:
  struct Options {
    std::string_view done;  // "imported"
    bool tokens = false;    // tokens instead of bytes
    int descriptor = 2;
    double plain_seconds = 10;
  };
  WorkDisplay(const Options& options, double now);
  ~WorkDisplay() { line_.clear(); }
  WorkDisplay(const WorkDisplay&) = delete;
  WorkDisplay& operator=(const WorkDisplay&) = delete;

  // Reports that `done` of `total` is done.
  void at(size_t done, size_t total, double now);

 private:
  Options options_;
  StatusLine line_;
  double begun_, last_line_;
};

}  // namespace birkhoff
