#include "engine/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace birkhoff {
namespace {

// Rounded, so that 0.29 · 100 = 28.999… is step 29.
int64_t step_at(double fraction, int64_t total) {
  return std::llround(fraction * static_cast<double>(total));
}

double ratio(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

double stepped(const OptimConfig& o, int64_t total, int64_t step) {
  double factor = 1;
  for (size_t i = 0; i < o.step_points.size() && i < o.step_factors.size(); ++i)
    if (step > step_at(o.step_points[i], total)) factor = o.step_factors[i];
  return o.lr * factor;
}

double cosine(const OptimConfig& o, int64_t total, int64_t step) {
  if (step == total) return o.lr * o.min_lr_fraction;
  const double progress = ratio(step - o.warmup_steps, total - o.warmup_steps);
  const double wave = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  return o.lr * (o.min_lr_fraction + (1 - o.min_lr_fraction) * wave);
}

double stable_then_decay(const OptimConfig& o, int64_t total, int64_t step) {
  const int64_t decay = std::max(o.warmup_steps, total - step_at(o.decay_fraction, total));
  if (step <= decay) return o.lr;
  if (step == total) return o.lr * o.min_lr_fraction;
  return o.lr * (1 - (1 - o.min_lr_fraction) * ratio(step - decay, total - decay));
}

}  // namespace

double learning_rate(const OptimConfig& o, int64_t total_steps, int64_t step) {
  check(step >= 1 && total_steps >= 1, "learning_rate: step {} of {}", step, total_steps);
  step = std::min(step, total_steps);
  // Divides first, so that at step W the quotient is exactly 1.
  if (step <= o.warmup_steps) return o.lr * ratio(step, o.warmup_steps);
  switch (o.schedule) {
    case LrSchedule::step:
      return stepped(o, total_steps, step);
    case LrSchedule::cosine:
      return cosine(o, total_steps, step);
    case LrSchedule::constant:
      return o.lr;
    case LrSchedule::wsd:
      return stable_then_decay(o, total_steps, step);
  }
  throw InternalError("learning_rate: unknown schedule");
}

}  // namespace birkhoff
