#include "kernels/features.h"

#include <mutex>

#include "kernels/bodies.h"

namespace birkhoff {
namespace {

std::mutex mutex;
std::optional<Features> pretended;

}  // namespace

Features host_features() {
  static const Features kThis{.avx512_bf16 = cpu::avx512_bf16::supported()};
  const std::lock_guard lock(mutex);
  return pretended.value_or(kThis);
}

void pretend_features(std::optional<Features> features) {
  const std::lock_guard lock(mutex);
  pretended = features;
}

}  // namespace birkhoff
