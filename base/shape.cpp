#include "base/shape.h"

namespace birkhoff {

int64_t count(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape)
    // Not check(), which would build its text for each element.
    if (d < 0 || __builtin_mul_overflow(n, d, &n))
      throw InternalError("shape " + to_string(shape) + " has no element count");
  return n;
}

std::string to_string(const Shape& shape) {
  std::string s = "[";
  for (const int64_t d : shape) s += fmt::format("{}{}", s.size() > 1 ? "," : "", d);
  return s + "]";
}

std::string to_string(const TensorSpec& spec) {
  return fmt::format("{}{}", name_of(spec.dtype), to_string(spec.shape));
}

}  // namespace birkhoff
