// cuBLASLt expects column-major matrices and ours are row-major. A row-major [r, c] is a
// column-major [c, r], so we request the transposed product, outᵀ = bᵀ'·aᵀ', with b as the first
// factor.
#include "kernels/cuda/linear.h"

#include "base/error.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/require.h"

namespace birkhoff::cuda {
namespace {

constexpr uint32_t kAlignment = 16;

template <class T>
using Owned = std::unique_ptr<T, cublasStatus_t (*)(T*)>;
using Layout = Owned<cublasLtMatrixLayoutOpaque_t>;
using Matmul = Owned<cublasLtMatmulDescOpaque_t>;
using Preference = Owned<cublasLtMatmulPreferenceOpaque_t>;

const char* name_of(LinearKind kind) {
  constexpr const char* kNames[] = {"linear", "linear_dx", "linear_dw"};
  return kNames[int(kind)];
}

std::string to_string(const LinearProblem& p) {
  return fmt::format("{} of {} tokens, {} outputs, {} inputs, {} to {}", name_of(p.kind), p.tokens,
                     p.outputs, p.inputs, birkhoff::name_of(p.factors),
                     birkhoff::name_of(p.result));
}

void require_problem(const LinearProblem& p) {
  birkhoff::check(
      p.tokens > 0 && p.outputs > 0 && p.inputs > 0 &&
          ((p.factors == DType::bf16 && p.result == DType::bf16) ||
           ((p.factors == DType::bf16 || p.factors == DType::f32) && p.result == DType::f32)),
      "{}: this matrix product is not supported", to_string(p));
}

// Column-major, as cuBLASLt sees it.
struct Matrix {
  int64_t rows, columns;
  bool transposed = false;
};
struct Matrices {
  Matrix first, second, out;
};
Matrices matrices(const LinearProblem& p) {
  const int64_t t = p.tokens, n = p.outputs, k = p.inputs;
  switch (p.kind) {
    case LinearKind::forward:
      return {{k, n, true}, {k, t}, {n, t}};
    case LinearKind::dx:
      return {{k, n}, {n, t}, {k, t}};
    case LinearKind::dw:
      return {{k, t}, {n, t, true}, {k, n}};
  }
  throw InternalError("unknown kind of matrix product");
}

Layout layout(const CublasLt& lt, const Matrix& m, DType type) {
  cublasLtMatrixLayout_t made = nullptr;
  lt.check(lt.functions().layout_create(&made, type == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F,
                                        uint64_t(m.rows), uint64_t(m.columns), m.rows),
           "cublasLtMatrixLayoutCreate");
  return {made, lt.functions().layout_destroy};
}

Matmul matmul(const CublasLt& lt, const Matrices& m) {
  cublasLtMatmulDesc_t made = nullptr;
  lt.check(lt.functions().desc_create(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F),
           "cublasLtMatmulDescCreate");
  Matmul owned{made, lt.functions().desc_destroy};
  const auto transpose = [&](cublasLtMatmulDescAttributes_t side, bool transposed) {
    const int32_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    lt.check(lt.functions().desc_set(made, side, &operation, sizeof operation),
             "cublasLtMatmulDescSetAttribute");
  };
  transpose(CUBLASLT_MATMUL_DESC_TRANSA, m.first.transposed);
  transpose(CUBLASLT_MATMUL_DESC_TRANSB, m.second.transposed);
  return owned;
}

// Keeps the partial sums of a split k in the workspace as f32: the other reduction schemes round
// each to the result's type. Also requests 16-byte alignment, where cuBLASLt would assume 256.
Preference preference(const CublasLt& lt, size_t most_workspace) {
  cublasLtMatmulPreference_t made = nullptr;
  lt.check(lt.functions().preference_create(&made), "cublasLtMatmulPreferenceCreate");
  Preference owned{made, lt.functions().preference_destroy};
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    lt.check(lt.functions().preference_set(made, attribute, &value, sizeof value),
             "cublasLtMatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(most_workspace));
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto side :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(side, kAlignment);
  return owned;
}

}  // namespace

struct LinearProduct::Plan {
  const CublasLt& lt;
  const char* name;
  Matmul matmul;
  Layout first, second, out;
  cublasLtMatmulHeuristicResult_t chosen{};
};

LinearProduct::LinearProduct(const CublasLt& lt, const LinearProblem& p, size_t most_workspace) {
  require_problem(p);
  const Matrices m = matrices(p);
  plan_ = std::make_unique<Plan>(
      Plan{lt, name_of(p.kind), matmul(lt, m), layout(lt, m.first, p.factors),
           layout(lt, m.second, p.factors), layout(lt, m.out, p.result)});
  Plan& plan = *plan_;
  const Preference wanted = preference(lt, most_workspace);
  int found = 0;
  const cublasStatus_t status = lt.functions().heuristic(
      lt.handle(), plan.matmul.get(), plan.first.get(), plan.second.get(), plan.out.get(),
      plan.out.get(), wanted.get(), 1, &plan.chosen, &found);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) lt.check(status, "cublasLtMatmulAlgoGetHeuristic");
  if (found == 0 || status != CUBLAS_STATUS_SUCCESS || plan.chosen.state != CUBLAS_STATUS_SUCCESS)
    throw InternalError(fmt::format("{}: cuBLASLt has no algorithm for {} with {} MiB of workspace",
                                    lt.gpu().failed("cublasLtMatmulAlgoGetHeuristic"), to_string(p),
                                    most_workspace >> 20));
}

LinearProduct::~LinearProduct() = default;
LinearProduct::LinearProduct(LinearProduct&&) noexcept = default;

size_t LinearProduct::workspace_bytes() const { return plan_->chosen.workspaceSize; }

void LinearProduct::run(const LinearArgs& a, const Stream& stream) const {
  const Plan& p = *plan_;
  require_aligned(p.name, {a.a, a.b, a.base, a.out});
  const size_t needed = p.chosen.workspaceSize;
  birkhoff::check(a.workspace.size() >= needed,
                  "{}: a workspace of {} bytes is too small; {} are needed", p.name,
                  a.workspace.size(), needed);
  const float one = 1, beta = a.base ? 1 : 0;  // with beta 0, C is not read
  p.lt.check(p.lt.functions().matmul(p.lt.handle(), p.matmul.get(), &one, a.b, p.first.get(), a.a,
                                     p.second.get(), &beta, a.base ? a.base : a.out, p.out.get(),
                                     a.out, p.out.get(), &p.chosen.algo,
                                     a.workspace.part(0, needed).as<std::byte>(), needed, stream),
             "cublasLtMatmul");
}

}  // namespace birkhoff::cuda
