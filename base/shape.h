#pragma once
// Shapes and tensor specs: what is known of a tensor without its data. Row-major without strides:
// every tensor is contiguous. Thread-safe: no state.
#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace birkhoff {

using Shape = std::vector<int64_t>;

// Number of elements; 1 for the empty shape. Throws InternalError on a negative dim or overflow.
int64_t count(const Shape& shape);
std::string to_string(const Shape& shape);  // "[4,8]"

struct TensorSpec {
  Shape shape = {};
  DType dtype = DType::none;  // none: the operand is absent

  int64_t count() const { return birkhoff::count(shape); }
  size_t bytes() const { return size_t(count()) * size_of(dtype); }
  bool operator==(const TensorSpec&) const = default;
};

std::string to_string(const TensorSpec& spec);  // "f32[4,8]"

}  // namespace birkhoff
