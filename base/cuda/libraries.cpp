#include "base/cuda/libraries.h"

#include <cuda_runtime_api.h>

#include "base/format.h"

namespace birkhoff::cuda {
namespace {

std::string to_string(const Version& v) { return fmt::format("{}.{}.{}", v[0], v[1], v[2]); }

// The encoding of cuBLASLt and NCCL: 22703 is 2.27.3.
Version of_five_digits(int number) { return {number / 10000, number / 100 % 100, number % 100}; }

std::optional<Version> driver_version(const SharedLibrary& library) {
  int number = 0;  // 13000 is 13.0
  if (library.symbol<int(int*)>("cuDriverGetVersion")(&number) != 0) return std::nullopt;
  return Version{number / 1000, number / 10 % 100, 0};
}

std::optional<Version> cublaslt_version(const SharedLibrary& library) {
  return of_five_digits(int(library.symbol<size_t()>("cublasLtGetVersion")()));
}

std::optional<Version> nccl_version(const SharedLibrary& library) {
  int number = 0;
  if (library.symbol<int(int*)>("ncclGetVersion")(&number) != 0) return std::nullopt;
  return of_five_digits(number);
}

std::string wrong(const LibraryNeed& need, const SharedLibrary& library,
                  std::optional<Version>& version) {
  if (!library.loaded()) return library.why();
  for (const char* symbol : need.symbols)
    if (!library.symbol<void()>(symbol))
      return fmt::format("{} has no function {}", library.name(), symbol);
  version = need.version(library);
  if (!version) return fmt::format("{} does not report its version", library.name());
  if (*version < need.least || *version >= need.below)
    return fmt::format("{} has version {}, but at least {} and below {} is needed", library.name(),
                       to_string(*version), to_string(need.least), to_string(need.below));
  return "";
}

}  // namespace

// The linked runtime needs a driver of its own major version or a later one.
LibraryNeed driver_need() {
  return {.names = {"libcuda.so.1"},
          .symbols = {"cuDriverGetVersion"},
          .version = driver_version,
          .least = {CUDART_VERSION / 1000, 0, 0},
          .below = {1000, 0, 0}};
}

// Versions 12 and 13 agree in the functions, types and constants used here.
LibraryNeed cublaslt_need() {
  return {.names = {"libcublasLt.so.13", "libcublasLt.so.12"},
          .symbols = {"cublasLtGetVersion", "cublasLtGetStatusName", "cublasLtCreate",
                      "cublasLtDestroy", "cublasLtMatmul", "cublasLtMatmulAlgoGetHeuristic",
                      "cublasLtMatmulDescCreate", "cublasLtMatmulDescDestroy",
                      "cublasLtMatmulDescSetAttribute", "cublasLtMatrixLayoutCreate",
                      "cublasLtMatrixLayoutDestroy", "cublasLtMatmulPreferenceCreate",
                      "cublasLtMatmulPreferenceDestroy", "cublasLtMatmulPreferenceSetAttribute"},
          .version = cublaslt_version,
          .least = {12, 0, 0},
          .below = {14, 0, 0}};
}

// 2.18 is the first with ncclCommSplit, which makes groups of a communicator.
LibraryNeed nccl_need() {
  return {.names = {"libnccl.so.2"},
          .symbols = {"ncclGetVersion", "ncclGetUniqueId", "ncclCommInitRankConfig",
                      "ncclCommSplit", "ncclCommAbort"},
          .version = nccl_version,
          .least = {2, 18, 0},
          .below = {3, 0, 0}};
}

LoadedLibrary load(const LibraryNeed& need) {
  SharedLibrary library(need.names);
  std::optional<Version> version;
  std::string why = wrong(need, library, version);
  if (!why.empty()) return {SharedLibrary(), "none: " + why};
  std::string line = fmt::format("{}, {}", library.name(), to_string(*version));
  return {std::move(library), std::move(line)};
}

}  // namespace birkhoff::cuda
