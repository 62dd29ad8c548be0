#pragma once
// The harness that every operator must pass (tests/kernels/<op>_test.cpp):
//
//   const Example kExamples[] = {{.op = &kRmsNorm, .inputs = {random_tensor(…), …}, .desc = …}, …};
//   BIRKHOFF_OPERATOR_EXAMPLES(RmsNorm, kExamples-making function)
//
// check_operator() runs, for one example:
//   1. cpu against the fp64 reference, error ≤ tolerance · epsilon(f32) · scale per output, where
//      scale = max(|reference|, example.scale); outputs start as NaN;
//   2. the base rule: a base elsewhere and base == out give base + f(in);
//   3. 1, 2 and 3 threads give the same bits;
//   4. the same with activations in bf16, where the example says which inputs are activations;
//   5. if the operator has a gradient rule: the reference gradients of Σ w⊙out by that rule against
//      central differences, for every floating input (200 elements of a large one).
#include <functional>
#include <string>

#include "kernels/operator.h"
#include "tests/support/tensor.h"

namespace birkhoff::testing {

struct Example {
  const Operator* op = nullptr;
  std::vector<Tensor> inputs = {};  // spec dtype none: absent
  Desc desc = {};
  std::string label = "";
  // In epsilons of f32 of the largest reference value; a larger one needs a reason.
  double tolerance = 32;
  double scale = 0;            // floor of the scale: the magnitude of terms that cancel
  bool differentiable = true;  // false: e.g. at a kink; inputs not to vary are listed below
  std::vector<int> constant_inputs = {};  // floating inputs for which the rule gives no gradient
  int round = 0;                          // Context::round
  std::vector<Tensor> update_bases = {};  // for an operator with updates = true
  // Inputs of storage type (kernels/storage.h); empty: the operator has no bf16 form.
  std::vector<int> stored = {};
  // Wide inputs that the cpu reads as bf16, because they are factors of a matrix product.
  std::vector<int> read_as_stored = {};
  // Extra error allowed to a bf16 result beyond its one rounding, where intermediate values are
  // rounded too: in units of 2^-8 of the largest reference value.
  double stored_tolerance = 0;
  std::vector<int> stored_tolerance_of = {};  // outputs that it applies to; empty: all
  // The same per output and element, in f64, where the data determines it; an empty tensor adds
  // nothing.
  std::vector<Tensor> stored_bounds = {};
};

// Examples of all files that registered some; the registry test loops over them.
std::vector<Example>& examples();
struct RegisterExamples {
  explicit RegisterExamples(const std::function<std::vector<Example>()>& make);
};

struct RunOptions {
  Device device = Device::reference;
  int threads = 1;
  bool bases = false;     // adds to bases (random, a function of the output index)
  bool in_place = false;  // base == out
};
// Outputs of the operator for these inputs, without dtype conversion.
std::vector<Tensor> run(const Operator& op, const std::vector<Tensor>& inputs, const Desc& desc,
                        const RunOptions& options = {}, int round = 0,
                        const std::vector<Tensor>& update_bases = {});

// The inputs with floating dtypes converted to f64; others are kept.
std::vector<Tensor> in_double(const std::vector<Tensor>& inputs);

// Gradients of Σ_k Σ_i w_k[i]·out_k[i] with respect to each input, by the operator's own rule on
// the reference device in f64. A tensor is empty if the rule gives no gradient.
std::vector<Tensor> gradients(const Operator& op, const std::vector<Tensor>& inputs,
                              const Desc& desc, const std::vector<Tensor>& weights, int round = 0);

void check_operator(const Example& example);  // GoogleTest expectations

// Bytes that a call must move, as the operator states them: each input and output once, without
// views.
double unique_bytes(const Operator& op, const std::vector<TensorSpec>& inputs, const Desc& desc);

// Fails with the worst coordinate, both values, how many are off and the bound.
void expect_close(const Tensor& got, const Tensor& want, double bound, const std::string& what);
void expect_same_bits(const Tensor& got, const Tensor& want, const std::string& what);

}  // namespace birkhoff::testing

// Registers the examples of an operator family and a test that checks each of them.
#define BIRKHOFF_OPERATOR_EXAMPLES(Family, make)                                     \
  static const ::birkhoff::testing::RegisterExamples k##Family##Examples(make);      \
  TEST(Family##Operators, MatchReferenceAndDifferences) {                            \
    for (const auto& example : make()) ::birkhoff::testing::check_operator(example); \
  }
