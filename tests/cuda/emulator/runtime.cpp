// Symbols of CUDA's runtime (runtime.h): errors, the device, launches, streams and events.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/format.h"
#include "kernels/cuda/device/emulated/machine.h"
#include "tests/cuda/emulator/board.h"
#include "tests/cuda/emulator/device.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/runtime.h"
#include "tests/cuda/emulator/streams.h"

// The numbers are part of the interface, so a header with other numbers must not compile.
static_assert(cudaErrorInvalidValue == 1 && cudaErrorMemoryAllocation == 2 &&
              cudaErrorInvalidConfiguration == 9 && cudaErrorInsufficientDriver == 35 &&
              cudaErrorDevicesUnavailable == 46 && cudaErrorNoDevice == 100 &&
              cudaErrorInvalidDevice == 101 && cudaErrorNoKernelImageForDevice == 209 &&
              cudaErrorECCUncorrectable == 214 && cudaErrorNvlinkUncorrectable == 220 &&
              cudaErrorUnsupportedPtxVersion == 222 && cudaErrorContained == 226 &&
              cudaErrorInvalidResourceHandle == 400 && cudaErrorNotReady == 600 &&
              cudaErrorIllegalAddress == 700 && cudaErrorLaunchTimeout == 702 &&
              cudaErrorAssert == 710 && cudaErrorHardwareStackError == 714 &&
              cudaErrorIllegalInstruction == 715 && cudaErrorMisalignedAddress == 716 &&
              cudaErrorInvalidAddressSpace == 717 && cudaErrorInvalidPc == 718 &&
              cudaErrorLaunchFailure == 719 && cudaErrorSystemNotReady == 802 &&
              cudaErrorSystemDriverMismatch == 803);
static_assert(cudaStreamNonBlocking == 1 && cudaEventDefault == 0 && cudaEventBlockingSync == 1 &&
              cudaEventDisableTiming == 2 && cudaFuncAttributeMaxDynamicSharedMemorySize == 8 &&
              cudaDevAttrMultiProcessorCount == 16 && cudaDevAttrComputeCapabilityMajor == 75 &&
              cudaDevAttrComputeCapabilityMinor == 76 && CUDART_VERSION == 13000);

struct CUstream_st {
  int index, priority;
};
struct CUevent_st {
  birkhoff::emulator::Moment moment;
  bool timing;
};

namespace birkhoff::emulator {
namespace {

// The existing handles.
std::map<cudaStream_t, std::unique_ptr<CUstream_st>> the_streams;
std::map<cudaEvent_t, std::unique_ptr<CUevent_st>> the_events;
std::string the_fault;
std::string the_refusal;  // why the last rejected launch could not run
cudaError_t last_error = cudaSuccess;
int current_device = 0;

constexpr int kGreatestPriority = -5;  // as on current GPUs

cudaError_t create_stream(cudaStream_t* stream, unsigned flags, int priority = 0) {
  if (!stream || (flags & ~unsigned(cudaStreamNonBlocking))) return cudaErrorInvalidValue;
  auto made = std::make_unique<CUstream_st>();
  made->index = streams().create(!(flags & cudaStreamNonBlocking));
  made->priority = std::clamp(priority, kGreatestPriority, 0);
  *stream = made.get();
  the_streams.emplace(*stream, std::move(made));
  return cudaSuccess;
}

CUevent_st* event_at(cudaEvent_t event) {
  const auto found = the_events.find(event);
  return found == the_events.end() ? nullptr : found->second.get();
}

cudaError_t ready(Moment moment) {
  if (!streams().done(moment)) streams().run_some();
  if (!streams().done(moment)) return cudaErrorNotReady;
  streams().wait(moment);
  return cudaSuccess;
}

}  // namespace

cudaError_t result(cudaError_t status, const char* call) {
  status = failing(status, call);
  if (!the_fault.empty()) status = cudaErrorLaunchFailure;
  if (status != cudaSuccess && status != cudaErrorNotReady) last_error = status;
  return status;
}

int index_of(cudaStream_t stream) {
  if (!stream) return 0;
  const auto found = the_streams.find(stream);
  return found == the_streams.end() ? -1 : found->second->index;
}

const std::string& fault() { return the_fault; }
void set_fault(const std::string& text) {
  if (the_fault.empty()) the_fault = text;
}

void reset(const Schedule& schedule) {
  streams().reset();
  reset_memory();
  device().reset(schedule);
  the_streams.clear(), the_events.clear(), the_fault.clear();
  last_error = cudaSuccess;
  current_device = 0;
  board() = {};
}

}  // namespace birkhoff::emulator

namespace birkhoff::cuda::emulated {

// Replaces cudaLaunchKernelExC, which takes the arguments' addresses where this takes a closure.
cudaError_t launch(const char* name, const void* kernel, const Launch& how,
                   std::function<void()> body) {
  using namespace emulator;
  const auto allowed = device().allowed_shared(kernel);
  const std::string why = why_refused(how, allowed.value_or(kStaticSharedBytes));
  const int stream = index_of(how.stream);
  if (!why.empty()) the_refusal = why;
  const cudaError_t status = result(!why.empty() ? cudaErrorInvalidConfiguration
                                    : stream < 0 ? cudaErrorInvalidResourceHandle
                                                 : cudaSuccess,
                                    "cudaLaunchKernelExC");
  if (status != cudaSuccess) return status;
  const Job job{name, how, allowed ? most_shared_bytes(how) : kStaticSharedBytes, std::move(body)};
  streams().enqueue(stream, [=](uint32_t operation) { device().run(job, operation); });
  return cudaSuccess;
}

}  // namespace birkhoff::cuda::emulated

using namespace birkhoff::emulator;

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice:
      return "cudaErrorNoKernelImageForDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    default:
      return "an error without a name here";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return the_refusal.c_str();
    case cudaErrorLaunchFailure:
      return the_fault.c_str();
    default:
      return "an error of the emulated device";
  }
}
cudaError_t cudaPeekAtLastError() { return result(last_error); }
cudaError_t cudaGetLastError() {
  const cudaError_t error = result(last_error);
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = board().devices;
  return result(*count ? cudaSuccess : cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int number) {
  if (number < 0 || number >= board().devices) return result(cudaErrorInvalidDevice);
  current_device = number;
  return result(cudaSuccess);
}
cudaError_t cudaGetDevice(int* number) {
  *number = current_device;
  return result(cudaSuccess);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int number) {
  if (number < 0 || number >= board().devices) return result(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 108;  // A100
      return result(cudaSuccess);
    case cudaDevAttrComputeCapabilityMajor:
      *value = board().major;
      return result(cudaSuccess);
    case cudaDevAttrComputeCapabilityMinor:
      *value = board().minor;
      return result(cudaSuccess);
    default:
      return result(cudaErrorInvalidValue);
  }
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0, *greatest = kGreatestPriority;
  return result(cudaSuccess);
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return result(cudaSuccess);
}
cudaError_t cudaDeviceSynchronize() {
  streams().wait_all();
  return result(cudaSuccess);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const bool known = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value >= 0 &&
                     size_t(value) <= birkhoff::cuda::kMaxClusterSharedBytes;
  if (known) device().allow_shared(kernel, size_t(value));
  return result(known ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return result(create_stream(stream, 0)); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return result(create_stream(stream, flags));
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return result(create_stream(stream, flags, priority));
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  const auto found = the_streams.find(stream);
  if (stream && found == the_streams.end()) return result(cudaErrorInvalidResourceHandle);
  *priority = stream ? found->second->priority : 0;
  return result(cudaSuccess);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return result(the_streams.erase(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const int index = index_of(stream);
  if (index < 0) return result(cudaErrorInvalidResourceHandle);
  streams().wait(streams().last(index));
  return result(cudaSuccess);
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const int index = index_of(stream);
  if (index < 0) return result(cudaErrorInvalidResourceHandle);
  return result(ready(streams().last(index)));
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const int index = index_of(stream);
  const CUevent_st* e = event_at(event);
  if (index < 0 || !e) return result(cudaErrorInvalidResourceHandle);
  if (e->moment.number) streams().enqueue(index, [](uint32_t) {}, {e->moment});
  return result(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (flags & ~unsigned(cudaEventBlockingSync | cudaEventDisableTiming))
    return result(cudaErrorInvalidValue);
  auto made = std::make_unique<CUevent_st>();
  made->timing = !(flags & cudaEventDisableTiming);
  *event = made.get();
  the_events.emplace(*event, std::move(made));
  return result(cudaSuccess);
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return result(the_events.erase(event) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const int index = index_of(stream);
  CUevent_st* e = event_at(event);
  if (index < 0 || !e) return result(cudaErrorInvalidResourceHandle);
  e->moment = streams().enqueue(index, [](uint32_t) {});
  return result(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const CUevent_st* e = event_at(event);
  if (!e) return result(cudaErrorInvalidResourceHandle);
  streams().wait(e->moment);
  return result(cudaSuccess);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const CUevent_st* e = event_at(event);
  if (!e) return result(cudaErrorInvalidResourceHandle);
  return result(ready(e->moment));
}
// Every operation takes a microsecond.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const CUevent_st *from = event_at(start), *to = event_at(end);
  if (!from || !to || !from->timing || !to->timing || !from->moment.number || !to->moment.number)
    return result(cudaErrorInvalidResourceHandle);
  if (!streams().done(from->moment) || !streams().done(to->moment))
    return result(cudaErrorNotReady);
  const auto time = [](Moment m) { return float(streams().id(m)) / 1000; };
  *milliseconds = time(to->moment) - time(from->moment);
  return result(cudaSuccess);
}

}  // extern "C"
