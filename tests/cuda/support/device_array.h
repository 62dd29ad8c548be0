#pragma once
// Device memory for tests, with synchronous copies to and from the host.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace birkhoff::testing {

inline void require_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw InternalError(fmt::format("{}: {}", what, cudaGetErrorString(status)));
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    void* data = nullptr;
    require_cuda(cudaMalloc(&data, count * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(data);
    require_cuda(cudaMemset(data_, 0xFF, count * sizeof(T)), "cudaMemset");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    require_cuda(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice),
                 "cudaMemcpy");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  size_t size() const { return count_; }
  std::vector<T> values() const {
    std::vector<T> v(count_);
    require_cuda(cudaMemcpy(v.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost),
                 "cudaMemcpy");
    return v;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

}  // namespace birkhoff::testing
