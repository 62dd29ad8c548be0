#pragma once
// Test tensors in device memory.
#include "tests/cuda/support/device_array.h"
#include "tests/support/tensor.h"

namespace birkhoff::testing {

// A tensor's values on the device, `offset` elements into their allocation.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const Tensor& t, int64_t offset = 0)
      : spec_(t.spec), array_(size_t(t.spec.count() + offset)), offset_(offset) {
    require_cuda(cudaMemcpy(data(), t.bytes.data(), t.bytes.size(), cudaMemcpyHostToDevice), "x");
  }
  // Filled with NaN.
  explicit OnDevice(const TensorSpec& spec) : OnDevice(Tensor(spec)) {}
  T* data() const { return array_.data() + offset_; }
  int64_t size() const { return spec_.count(); }
  Tensor tensor() const {
    Tensor t(spec_);
    require_cuda(cudaMemcpy(t.bytes.data(), data(), t.bytes.size(), cudaMemcpyDeviceToHost), "y");
    return t;
  }

 private:
  TensorSpec spec_;
  DeviceArray<T> array_;
  int64_t offset_;
};

}  // namespace birkhoff::testing
