// Against what others computed, without running them: the cases of tests/golden/parity (its README
// says how they were made). Each bound is in the file; docs/numerics.md derives it.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/parity.h"

namespace birkhoff::testing {
namespace {

constexpr std::string_view kWant = "want.";

// Both sides round to 53 bits, while the bound is for one side that rounds to 24.
const double kF64 = std::sqrt(2.0) * std::ldexp(1.0, 24 - 53);

struct Golden {
  TensorFile parity_case, want, bound;
};

Golden golden(const std::string& name) {
  Golden g;
  g.parity_case =
      read_tensors(Path(BIRKHOFF_SOURCE_DIR) / "tests/golden/parity" / (name + ".safetensors"));
  auto& all = g.parity_case.tensors;
  for (auto at = all.lower_bound("want."); at != all.end() && at->first.starts_with(kWant);) {
    const std::string tensor = at->first.substr(kWant.size());
    g.want.tensors[tensor] = at->second;
    g.bound.tensors[tensor] = g.parity_case.tensor("bound." + tensor);
    at = all.erase(at);
  }
  return g;
}

// Compares each element's error with its own bound, or the norm of the errors with a single bound.
void expect_within(const Tensor& got, const Tensor& want, const Tensor& bound, double factor,
                   const std::string& name) {
  if (bound.spec.count() == 1) {
    const double error = distance(got, want);
    EXPECT_TRUE(error <= factor * bound.at(0)) << name << ": off by " << error << ", bound "
                                               << factor * bound.at(0) << ", norm " << norm(want);
    return;
  }
  for (int64_t i = 0; i < want.spec.count(); ++i)
    EXPECT_TRUE(std::abs(got.at(i) - want.at(i)) <= factor * bound.at(i))
        << name << "[" << i << "]: " << got.at(i) << ", want " << want.at(i) << ", bound "
        << factor * bound.at(i);
}

void expect_parity(const std::string& name, DType dtype = DType::f32) {
  SCOPED_TRACE(name);
  const Golden g = golden(name);
  ASSERT_FALSE(g.want.tensors.empty());
  const TensorFile got = run_parity(g.parity_case, dtype);
  for (const auto& [tensor, want] : g.want.tensors)
    expect_within(got.tensor(tensor), want, g.bound.tensor(tensor), dtype == DType::f64 ? kF64 : 1,
                  tensor);
}

// transformers' DeepseekV3ForCausalLM in fp32: loss, logits, every gradient.
TEST(Parity, PlainModelIsDeepseekV3) { expect_parity("plain_ragged"); }

TEST(Parity, LatentQueriesYarnAndGroupsAreDeepseekV3s) { expect_parity("plain_v3"); }

// The equations of arXiv 2409.19606 in PyTorch, fp64.
TEST(Parity, HcModelIsThePapers) {
  expect_parity("hc");
  expect_parity("hc", DType::f64);
}

// The equations of arXiv 2512.24880 in PyTorch, fp64.
TEST(Parity, MhcModelIsThePapers) {
  expect_parity("mhc");
  expect_parity("mhc", DType::f64);
}

TEST(Parity, MhcModelInV4sFormIsTheReports) {
  expect_parity("mhc_v4_learned");
  expect_parity("mhc_v4_learned", DType::f64);
}

// The paper's equations again, as far off as storing in bf16 may take it.
TEST(Parity, MhcModelInBf16) { expect_parity("bf16_mhc_moe", DType::bf16); }

// transformers' DeepseekV4HyperConnection in fp32: results, and the gradients of all inputs.
TEST(Parity, MhcOperatorIsDeepseekV4s) { expect_parity("v4_n4_9x24"); }

// torch.optim.AdamW in fp32 from the same gradients, 1 to 1e-24, with eps 1e-20.
TEST(Parity, AdamWIsPyTorchsAtTinyGradients) { expect_parity("adamw_from_zero"); }

// 50 steps of torch.optim.AdamW in fp64: decay groups, clipping, schedule, balancing.
TEST(Parity, TrainingIsPyTorchs) { expect_parity("training_mhc"); }

TEST(Parity, RefusesACaseThatDoesNotFit) {
  TensorFile parity_case = golden("mhc").parity_case;
  parity_case.tensors.erase("parameter.model.norm.weight");
  EXPECT_THROW(run_parity(parity_case, DType::f32), CheckpointError);
  parity_case = golden("mhc").parity_case;
  parity_case.tensors["parameter.model.other.weight"] = Tensor({{1}, DType::f32}, {1});
  EXPECT_THROW(run_parity(parity_case, DType::f32), CheckpointError);
  EXPECT_THROW(run_parity(golden("v4_n4_9x24").parity_case, DType::bf16), CheckpointError);
}

}  // namespace
}  // namespace birkhoff::testing
