#include "engine/train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <vector>

#include "base/format.h"

namespace birkhoff {
namespace {

constexpr double kSmoothing = 0.1;  // weight of the newest step's time: about the last 20 steps
constexpr int kPlainWidth = 200;
constexpr double kGiB = double(size_t(1) << 30);

bool known(double value) { return std::isfinite(value) && value > 0; }

int terminal_width(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string short_duration(double seconds) {
  if (!(seconds < 1e9)) return "?";  // a NaN too
  const auto s = int64_t(std::llround(std::max(seconds, 0.0)));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02d}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02d}m", s / 3600, s % 3600 / 60);
  return fmt::format("{}d{:02d}h", s / 86400, s % 86400 / 3600);
}

std::string short_count(double value) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) value /= 1000, ++unit;
  const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, digits, kUnits[unit]);
}

std::string progress_line(const Progress& p, int width) {
  struct Field {
    std::string text;
    int keep;  // the lowest is left out first
  };
  std::vector<Field> fields = {{fmt::format("step {}/{}", p.step, p.steps), 5}};
  if (p.steps > 0)
    fields.push_back({fmt::format(" ({}%)", int(100.0 * double(p.step) / double(p.steps))), 0});
  if (p.epoch >= 0) fields.push_back({fmt::format("  epoch {:.2f}", p.epoch), 1});
  fields.push_back({fmt::format("  loss {:.4f}", p.loss), 4});
  if (known(p.tokens_per_second))
    fields.push_back({fmt::format("  {} tokens/s", short_count(p.tokens_per_second)), 2});
  if (std::isfinite(p.seconds_left) && p.seconds_left >= 0)
    fields.push_back({fmt::format("  ETA {}", short_duration(p.seconds_left)), 3});

  for (int lowest = 0;; ++lowest) {
    std::string line;
    for (const Field& f : fields) {
      if (f.keep >= lowest) line += f.text;
    }
    if (int(line.size()) <= width || lowest == 5) return line.substr(0, size_t(std::max(width, 0)));
  }
}

StatusLine::StatusLine(int descriptor)
    : descriptor_(descriptor), terminal_(::isatty(descriptor) == 1) {}

// One column stays free: a full line would wrap on some terminals.
int StatusLine::width() const { return terminal_ ? terminal_width(descriptor_) - 1 : kPlainWidth; }

void StatusLine::show(const std::string& line) {
  if (!terminal_) return write(line + "\n");
  shown_ = line;
  write("\r" + line + "\x1b[K");
}

void StatusLine::clear() {
  if (!shown_.empty()) write("\r\x1b[K");
  shown_.clear();
}

void StatusLine::finish() {
  if (!shown_.empty()) write("\n");
  shown_.clear();
}

void StatusLine::write(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(size_t(n));
  }
}

ProgressDisplay::ProgressDisplay(const Options& options, double now)
    : options_(options), line_(options.descriptor), last_step_(now), last_line_(now) {}

void ProgressDisplay::step(int64_t step, double loss, int64_t step_tokens, double now) {
  const double seconds = std::max(now - last_step_, 0.0);
  last_step_ = now;
  // The first step of a process also warms it up, so the second step discards its time.
  step_seconds_ = step <= options_.first_step + 1
                      ? seconds
                      : step_seconds_ + kSmoothing * (seconds - step_seconds_);
  const Progress progress{
      .step = step,
      .steps = options_.steps,
      .loss = loss,
      .epoch = options_.epoch < 0
                   ? -1
                   : options_.epoch + double(step - options_.first_step + 1) * options_.step_epochs,
      .tokens_per_second = double(step_tokens) / step_seconds_,
      .seconds_left = double(options_.steps - step) * step_seconds_};
  const bool due = line_.terminal() || step <= options_.first_step || step >= options_.steps ||
                   now - last_line_ >= options_.plain_seconds;
  if (!due) return;
  last_line_ = now;
  line_.show(progress_line(progress, line_.width()));
}

WorkDisplay::WorkDisplay(const Options& options, double now)
    : options_(options), line_(options.descriptor), begun_(now), last_line_(now) {}

void WorkDisplay::at(size_t done, size_t total, double now) {
  constexpr double kTerminalSeconds = 0.5;
  if (now - last_line_ < (line_.terminal() ? kTerminalSeconds : options_.plain_seconds)) return;
  last_line_ = now;
  const double part = total > 0 ? double(done) / double(total) : 1;
  std::string line = options_.tokens
                         ? fmt::format("{} {} of {} tokens", options_.done,
                                       short_count(double(done)), short_count(double(total)))
                         : fmt::format("{} {:.1f} of {:.1f} GiB", options_.done,
                                       double(done) / kGiB, double(total) / kGiB);
  line += fmt::format(" ({}%)", int(100 * part));
  if (part > 0) line += fmt::format("  ETA {}", short_duration((now - begun_) * (1 / part - 1)));
  line_.show(line.substr(0, size_t(std::max(line_.width(), 0))));
}

}  // namespace birkhoff
