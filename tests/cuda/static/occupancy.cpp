// Prints how many blocks of a kernel fit on a multiprocessor, as calculated by the toolkit's
// cuda_occupancy.h, without a GPU or driver. Compiled by scripts/ptx_check.
//
// Each line of input has the architecture (80, 90, 100), threads per block, registers per thread,
// barriers, and bytes of static and of dynamic shared memory. Each line of output has the blocks, 0
// if the kernel cannot run.
#include <cuda_occupancy.h>

#include <cstdio>

namespace {

constexpr size_t kKiB = 1024;

// CUDA C++ Programming Guide 13.0, "Compute Capabilities". All three have 64 Ki registers and 2048
// threads, and reserve 1 KiB of shared memory per block for the system.
cudaOccDeviceProp device(int architecture) {
  cudaOccDeviceProp d;
  d.computeMajor = architecture / 10;
  d.computeMinor = architecture % 10;
  d.maxThreadsPerBlock = 1024;
  d.maxThreadsPerMultiprocessor = 2048;
  d.regsPerBlock = d.regsPerMultiprocessor = 65536;
  d.warpSize = 32;
  d.sharedMemPerBlock = 48 * kKiB;
  d.sharedMemPerMultiprocessor = (architecture == 80 ? 164 : 228) * kKiB;
  d.sharedMemPerBlockOptin = d.sharedMemPerMultiprocessor - kKiB;
  d.reservedSharedMemPerBlock = kKiB;
  d.numSms = architecture == 80 ? 108 : architecture == 90 ? 132 : 148;
  return d;
}

}  // namespace

int main() {
  int architecture, threads, registers, barriers;
  size_t shared, dynamic;
  while (std::scanf("%d %d %d %d %zu %zu", &architecture, &threads, &registers, &barriers, &shared,
                    &dynamic) == 6) {
    const cudaOccDeviceProp properties = device(architecture);
    cudaOccFuncAttributes kernel;
    kernel.maxThreadsPerBlock = properties.maxThreadsPerBlock;
    kernel.numRegs = registers;
    kernel.sharedSizeBytes = shared;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = dynamic;
    kernel.numBlockBarriers = barriers;
    const cudaOccDeviceState state;
    cudaOccResult result;
    const cudaOccError error = cudaOccMaxActiveBlocksPerMultiprocessor(
        &result, &properties, &kernel, &state, threads, dynamic);
    std::printf("%d\n", error == CUDA_OCC_SUCCESS ? result.activeBlocksPerMultiprocessor : 0);
  }
}
