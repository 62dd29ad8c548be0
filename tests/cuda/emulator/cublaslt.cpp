// Defines the symbols of cuBLASLt. Products run in the order of their stream, on the emulated
// device's memory. It checks what the real library trusts the caller for: that descriptors are
// live, that the algorithm was made for the problem, that promised alignments hold and that the
// workspace exists. Unknown attributes are rejected, not ignored.
#include <cublasLt.h>

#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "base/bf16.h"
#include "base/format.h"
#include "tests/cuda/emulator/board.h"
#include "tests/cuda/emulator/heap.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/emulator/streams.h"
#include "tests/cuda/emulator/transfer.h"

// The numbers are part of the interface.
static_assert(CUDA_R_32F == 0 && CUDA_R_16BF == 14 && CUBLAS_STATUS_NOT_INITIALIZED == 1 &&
              CUBLAS_STATUS_ALLOC_FAILED == 3 && CUBLAS_STATUS_INVALID_VALUE == 7 &&
              CUBLAS_STATUS_EXECUTION_FAILED == 13 && CUBLAS_STATUS_INTERNAL_ERROR == 14 &&
              CUBLAS_STATUS_NOT_SUPPORTED == 15 && CUBLAS_OP_N == 0 && CUBLAS_OP_T == 1 &&
              CUBLAS_COMPUTE_32F == 68);
static_assert(CUBLASLT_MATMUL_DESC_TRANSA == 3 && CUBLASLT_MATMUL_DESC_TRANSB == 4 &&
              CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES == 1 &&
              CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK == 3 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES == 5 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES == 6 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES == 7 &&
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES == 8 &&
              CUBLASLT_REDUCTION_SCHEME_INPLACE == 1 &&
              CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE == 2 &&
              CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE == 4 && CUBLASLT_REDUCTION_SCHEME_MASK == 7);
static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == 96 && sizeof(cublasLtMatmulAlgo_t) == 64);

struct cublasLtContext {};

namespace birkhoff::emulator {
namespace {

struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t ld;
  bool operator==(const Layout&) const = default;

  size_t element() const { return type == CUDA_R_16BF ? 2 : 4; }
  size_t bytes() const { return ((size_t(columns) - 1) * size_t(ld) + size_t(rows)) * element(); }
};
struct Operation {
  int32_t transposed[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
};
struct Wishes {
  uint64_t workspace = 0;
  uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::array<uint32_t, 4> alignments{256, 256, 256, 256};
};

// The objects that a program has created and not destroyed, by handle.
template <class Handle, class Value>
class Made {
 public:
  Handle add(const Value& value) {
    auto opaque = std::make_unique<std::remove_pointer_t<Handle>>();
    const Handle handle = opaque.get();
    all_.emplace(handle, std::pair(std::move(opaque), value));
    return handle;
  }
  Value* find(Handle handle) {
    const auto found = all_.find(handle);
    return found == all_.end() ? nullptr : &found->second.second;
  }
  bool remove(Handle handle) { return all_.erase(handle) > 0; }

 private:
  std::map<Handle, std::pair<std::unique_ptr<std::remove_pointer_t<Handle>>, Value>> all_;
};
Made<cublasLtHandle_t, int> handles;
Made<cublasLtMatrixLayout_t, Layout> layouts;
Made<cublasLtMatmulDesc_t, Operation> operations;
Made<cublasLtMatmulPreference_t, Wishes> preferences;

// A product as a call describes it.
struct Product {
  bool transposed[2];
  Layout a, b, c, d;
  bool operator==(const Product&) const = default;

  size_t depth() const { return transposed[0] ? a.rows : a.columns; }
  bool fits() const {
    const uint64_t m = transposed[0] ? a.columns : a.rows, n = transposed[1] ? b.rows : b.columns;
    return depth() == (transposed[1] ? b.columns : b.rows) && d.rows == m && d.columns == n &&
           c == d && a.type == b.type && (d.type == CUDA_R_32F || d.type == a.type);
  }
};
struct Algorithm {
  Product product;
  Wishes wishes;
  size_t workspace;
};
std::vector<Algorithm> algorithms;  // an algorithm's first word is its index here, plus 1

cublasStatus_t result(cublasStatus_t status, const char* call = __builtin_FUNCTION()) {
  if (failing(cudaSuccess, call) != cudaSuccess) return CUBLAS_STATUS_INTERNAL_ERROR;
  return fault().empty() ? status : CUBLAS_STATUS_EXECUTION_FAILED;
}
cublasStatus_t found(bool is) { return is ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE; }

template <class T>
bool set(T& to, const void* value, size_t bytes) {
  if (!value || bytes != sizeof to) return false;
  std::memcpy(&to, value, bytes);
  return true;
}

bool describe(cublasLtMatmulDesc_t desc, std::array<cublasLtMatrixLayout_t, 4> of, Product& out) {
  const Operation* operation = operations.find(desc);
  const Layout* all[4];
  for (int i = 0; i < 4; ++i)
    if (!(all[i] = layouts.find(of[size_t(i)]))) return false;
  if (!operation) return false;
  out = {{operation->transposed[0] == CUBLAS_OP_T, operation->transposed[1] == CUBLAS_OP_T},
         *all[0],
         *all[1],
         *all[2],
         *all[3]};
  return out.fits();
}

float at(const std::byte* p, const Layout& m, uint64_t row, uint64_t column) {
  const size_t i = size_t(column) * size_t(m.ld) + size_t(row);
  if (m.type == CUDA_R_16BF) return to_float(reinterpret_cast<const bf16*>(p)[i]);
  return reinterpret_cast<const float*>(p)[i];
}
float stored(float value, cudaDataType type) {
  return type == CUDA_R_16BF ? to_float(to_bf16(value)) : value;
}

struct Call {
  Algorithm algorithm;
  float alpha, beta;
  const std::byte *a, *b, *c;
  std::byte *d, *workspace;
};

// Sums k in two halves, as an algorithm with a split k does. If the preference allows a scheme that
// keeps partial sums in the result's type, they are rounded, as an algorithm may use any allowed
// scheme.
float element(const Call& call, uint64_t row, uint64_t column) {
  const Product& p = call.algorithm.product;
  const uint32_t rounding =
      CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
  const size_t depth = p.depth();
  float sum = 0;
  for (const auto& [begin, end] : {std::pair(size_t{0}, depth / 2), {depth / 2, depth}}) {
    float part = 0;
    for (size_t k = begin; k < end; ++k)
      part =
          std::fma(p.transposed[0] ? at(call.a, p.a, k, row) : at(call.a, p.a, row, k),
                   p.transposed[1] ? at(call.b, p.b, column, k) : at(call.b, p.b, k, column), part);
    sum += call.algorithm.wishes.schemes & rounding ? stored(part, p.d.type) : part;
  }
  sum *= call.alpha;
  return call.beta == 0 ? sum : std::fma(call.beta, at(call.c, p.c, row, column), sum);
}

void multiply(const Call& call, uint32_t operation) {
  const Product& p = call.algorithm.product;
  const char* const what = "cublasLtMatmul";
  const Heap::Open open;
  if (!touch(what, operation, call.a, p.a.bytes(), false) ||
      !touch(what, operation, call.b, p.b.bytes(), false) ||
      (call.beta != 0 && !touch(what, operation, call.c, p.c.bytes(), false)) ||
      !touch(what, operation, call.d, p.d.bytes(), true))
    return;
  if (call.algorithm.workspace > 0) {
    if (!touch(what, operation, call.workspace, call.algorithm.workspace, true)) return;
    std::memset(call.workspace, 0xFF, call.algorithm.workspace);
  }
  for (uint64_t column = 0; column < p.d.columns; ++column)
    for (uint64_t row = 0; row < p.d.rows; ++row) {
      const float value = element(call, row, column);
      const size_t i = size_t(column) * size_t(p.d.ld) + size_t(row);
      if (p.d.type == CUDA_R_16BF)
        reinterpret_cast<bf16*>(call.d)[i] = to_bf16(value);
      else
        reinterpret_cast<float*>(call.d)[i] = value;
    }
}

// Errors that cuBLASLt does not check for, and that break its results. Empty: none.
std::string broken_promise(const Call& call) {
  const auto aligned = [](const void* p, uint64_t to) {
    return reinterpret_cast<uintptr_t>(p) % to == 0;
  };
  const void* const all[] = {call.a, call.b, call.c, call.d};
  for (size_t i = 0; i < 4; ++i)
    if (const uint32_t to = call.algorithm.wishes.alignments[i]; !aligned(all[i], to))
      return fmt::format("matrix {} is not aligned to the {} bytes of its preference", "ABCD"[i],
                         to);
  const size_t bytes = call.algorithm.product.d.bytes();
  if (call.beta != 0 && call.c != call.d && call.c < call.d + bytes && call.d < call.c + bytes)
    return "C and D overlap";
  return "";
}

}  // namespace
}  // namespace birkhoff::emulator

using namespace birkhoff::emulator;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  const cublasStatus_t status = result(CUBLAS_STATUS_SUCCESS);
  *handle = status == CUBLAS_STATUS_SUCCESS ? handles.add(0) : nullptr;
  return status;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return found(handles.remove(handle)); }
const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    default:
      return "a status without a name here";
  }
}
size_t cublasLtGetVersion() { return 130000; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
  if (!layout || rows == 0 || columns == 0 || ld < int64_t(rows) ||
      (type != CUDA_R_32F && type != CUDA_R_16BF))
    return result(CUBLAS_STATUS_INVALID_VALUE);
  const cublasStatus_t status = result(CUBLAS_STATUS_SUCCESS);
  if (status == CUBLAS_STATUS_SUCCESS) *layout = layouts.add({type, rows, columns, ld});
  return status;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return found(layouts.remove(layout));
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  if (!desc || compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
    return result(CUBLAS_STATUS_NOT_SUPPORTED);
  const cublasStatus_t status = result(CUBLAS_STATUS_SUCCESS);
  if (status == CUBLAS_STATUS_SUCCESS) *desc = operations.add({});
  return status;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  return found(operations.remove(desc));
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  Operation* operation = operations.find(desc);
  const int side = int(attribute) - CUBLASLT_MATMUL_DESC_TRANSA;
  if (!operation || side < 0 || side > 1) return result(CUBLAS_STATUS_INVALID_VALUE);
  return result(found(set(operation->transposed[side], value, bytes)));
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  const cublasStatus_t status = result(found(preference != nullptr));
  if (status == CUBLAS_STATUS_SUCCESS) *preference = preferences.add({});
  return status;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return found(preferences.remove(preference));
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  Wishes* wishes = preferences.find(preference);
  if (!wishes) return result(CUBLAS_STATUS_INVALID_VALUE);
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    return result(found(set(wishes->workspace, value, bytes)));
  if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
    return result(found(set(wishes->schemes, value, bytes)));
  const int side = int(attribute) - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
  if (side < 0 || side > 3) return result(CUBLAS_STATUS_INVALID_VALUE);
  return result(found(set(wishes->alignments[size_t(side)], value, bytes)));
}

// The algorithm splits k, so it needs workspace for the partial sums.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* returned) {
  Product product{};
  const Wishes* wishes = preferences.find(preference);
  if (!handles.find(handle) || !wishes || requested < 1 || !results || !returned ||
      !describe(desc, {a, b, c, d}, product))
    return result(CUBLAS_STATUS_INVALID_VALUE);
  const size_t partial = 2 * size_t(product.d.rows) * size_t(product.d.columns) * sizeof(float);
  *returned = 0;
  if (!board().matmul_algorithms || partial > wishes->workspace)
    return result(CUBLAS_STATUS_NOT_SUPPORTED);
  algorithms.push_back({product, *wishes, partial});
  *returned = 1;
  results[0] = {};
  results[0].algo.data[0] = algorithms.size();
  results[0].workspaceSize = partial;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  return result(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  Product product{};
  const int index = index_of(stream);
  if (!handles.find(handle) || index < 0 || !alpha || !beta || !a || !b || !c || !d || !algo ||
      !describe(desc, {a_layout, b_layout, c_layout, d_layout}, product) ||
      algo->data[0] - 1 >= algorithms.size())
    return result(CUBLAS_STATUS_INVALID_VALUE);
  const Algorithm& algorithm = algorithms[size_t(algo->data[0]) - 1];
  if (!(algorithm.product == product) || workspace_bytes < algorithm.workspace ||
      (algorithm.workspace > 0 && !workspace))
    return result(CUBLAS_STATUS_INVALID_VALUE);
  const auto bytes_at = [](const void* p) { return static_cast<const std::byte*>(p); };
  const Call call{algorithm,
                  *static_cast<const float*>(alpha),
                  *static_cast<const float*>(beta),
                  bytes_at(a),
                  bytes_at(b),
                  bytes_at(c),
                  static_cast<std::byte*>(d),
                  static_cast<std::byte*>(workspace)};
  if (const std::string broken = broken_promise(call); !broken.empty())
    set_fault("[cublasLtMatmul] " + broken);
  streams().enqueue(index, [call](uint32_t operation) { multiply(call, operation); });
  return result(CUBLAS_STATUS_SUCCESS);
}

}  // extern "C"
