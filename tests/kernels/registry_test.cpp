// Checks that every registered operator has an example in the harness and that every gradient is
// checked by differences, so that none is forgotten. All tests of kernels/ are one executable, so
// examples() holds the examples of every file.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "kernels/attention.h"
#include "kernels/linear_cross_entropy.h"
#include "kernels/mhc.h"
#include "kernels/swiglu.h"
#include "tests/support/operator_check.h"

namespace birkhoff::testing {
namespace {

constexpr const char* kGradient =
    "is itself emitted by a gradient rule; training takes no second derivative";
constexpr const char* kUpdate = "changes its output in place behind the gradients";
constexpr const char* kOfGradients = "is computed of gradients, behind them";
constexpr const char* kIntegers = "has no floating input or output";
constexpr const char* kOnlyLooks = "looks on: nothing that is trained reads it";
constexpr const char* kDecoding = "runs in generation alone";
constexpr const char* kScoring = "scores what is not trained on";

// Operators without a gradient rule, and why.
const std::map<std::string_view, const char*> kWithoutGradient = {
    {"adamw", kUpdate},
    {"attention_backward", kGradient},
    {"attention_decode", kDecoding},
    {"balance_update", kUpdate},
    {"broadcast_scale", kGradient},
    {"cache_write", kDecoding},
    {"clip_scale", kOfGradients},
    {"combine_backward", kGradient},
    {"dispatch_backward", kGradient},
    {"embedding_backward", kGradient},
    {"grouped_linear_dw", kGradient},
    {"grouped_linear_dx", kGradient},
    {"hc_open_backward", kGradient},
    {"linear_cross_entropy", kScoring},
    {"linear_dw", kGradient},
    {"linear_dx", kGradient},
    {"mhc_close_backward", kGradient},
    {"mhc_open_backward", kGradient},
    {"mla_keys_backward", kGradient},
    {"readout_backward", kGradient},
    {"rms_norm_backward", kGradient},
    {"route_backward", kGradient},
    {"route_layout", kIntegers},
    {"squared_sum", kOfGradients},
    {"stream_statistics", kOnlyLooks},
    {"swiglu_backward", kGradient},
};

TEST(Registry, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const Operator* op : registry()) EXPECT_TRUE(names.insert(op->name).second) << op->name;
  EXPECT_GE(names.size(), 45u);
}

TEST(Registry, EveryOperatorHasItsParts) {
  for (const Operator* op : registry()) {
    EXPECT_TRUE(op->outputs && op->flops) << op->name;
    for (const Device device : {Device::cpu, Device::reference}) {
      const Implementations all = op->implementations[size_t(device)];
      ASSERT_FALSE(all.empty()) << op->name << " on " << name_of(device);
      for (const Implementation& i : all) EXPECT_NE(i.run, nullptr) << op->name << ' ' << i.name;
      // The last takes what the others do not.
      EXPECT_EQ(all.back().accepts, nullptr) << op->name << " on " << name_of(device);
    }
  }
}

TEST(Registry, EveryOperatorHasExamples) {
  std::set<const Operator*> seen;
  for (const Example& e : examples()) seen.insert(e.op);
  for (const Operator* op : registry()) EXPECT_TRUE(seen.contains(op)) << op->name;
}

// Operators without activations: their tensors are wide (kernels/storage.h) or integers.
// cache_write is here although caches are activations, because the harness runs updates only with
// the dtypes of the example; its own test covers bf16.
const std::set<std::string_view> kWithoutActivations = {
    "adamw", "balance_update", "broadcast_scale", "cache_write", "clip_scale",
    "route", "route_backward", "route_layout",    "squared_sum", "weighted_sum"};

TEST(Registry, EveryOperatorWithActivationsKnowsBf16) {
  std::set<std::string_view> seen;
  for (const Example& e : examples())
    if (!e.stored.empty() || e.desc.text().find("bf16") != std::string::npos)
      seen.insert(e.op->name);
  for (const Operator* op : registry())
    EXPECT_NE(seen.contains(op->name), kWithoutActivations.contains(op->name)) << op->name;
}

TEST(Registry, EveryExampleIsOfARegisteredOperator) {
  const std::set<const Operator*> known(registry().begin(), registry().end());
  for (const Example& e : examples())
    EXPECT_TRUE(known.contains(e.op)) << e.op->name << ": add its line to kernels/registry.cpp";
}

TEST(Registry, EveryOperatorHasAGradientOrAReason) {
  std::set<std::string_view> names;
  for (const Operator* op : registry()) {
    names.insert(op->name);
    EXPECT_NE(op->gradient != nullptr, kWithoutGradient.contains(op->name)) << op->name;
    const auto reason = kWithoutGradient.find(op->name);
    if (reason == kWithoutGradient.end() || reason->second == kDecoding) continue;
    EXPECT_EQ(op->updates, reason->second == kUpdate) << op->name << " " << reason->second;
  }
  for (const auto& [name, reason] : kWithoutGradient) EXPECT_TRUE(names.contains(name)) << name;
}

// Each has an example that is differenced in at least one floating-point input.
TEST(Registry, EveryGradientIsDifferenced) {
  std::set<const Operator*> differenced;
  for (const Example& e : examples()) {
    bool varies = false;
    for (size_t i = 0; i < e.inputs.size(); ++i)
      varies = varies || (is_floating(e.inputs[i].spec.dtype) &&
                          !std::count(e.constant_inputs.begin(), e.constant_inputs.end(), int(i)));
    if (e.differentiable && varies) differenced.insert(e.op);
  }
  // Its rule passes on a gradient that the operator computes itself, which is tested by
  // LinearCrossEntropy.LossComesWithItsGradients.
  differenced.insert(&kLinearCrossEntropyLoss);
  for (const Operator* op : registry())
    EXPECT_TRUE(!op->gradient || differenced.contains(op)) << op->name;
}

// The first that accepts a call wins, and its scratch is what is planned.
TEST(Registry, TheFirstThatAcceptsIsChosen) {
  const auto specs = [](DType dtype, int64_t width) {
    return std::vector<TensorSpec>{{{6, width}, dtype}, {}};
  };
  const auto name = [&](DType dtype, const Features& features) {
    return implementation(kSwiglu, specs(dtype, 8), {}, {Device::cpu, features})->name;
  };
  const Features with{.avx512_bf16 = true};
  EXPECT_EQ(name(DType::bf16, with), "avx512_bf16");
  EXPECT_EQ(name(DType::bf16, {}), "cpu");
  EXPECT_EQ(name(DType::f32, with), "cpu");
  EXPECT_EQ(implementation(kSwiglu, specs(DType::f32, 8), {}, {Device::reference})->name,
            "reference");

  // Rows of an odd number of channels are no whole pairs.
  const auto opens = [&](int64_t width) {
    const MhcDesc desc{.n = 1};
    const std::vector<TensorSpec> in = {{{6, width}, DType::bf16}};
    return implementation(kMhcOpen, in, desc, {Device::cpu, with})->name;
  };
  EXPECT_EQ(opens(6), "avx512_bf16");
  EXPECT_EQ(opens(7), "cpu");

  const Attention::Desc desc{.heads = 2, .sequence = 64};
  const TensorSpec rows{{64, 32}, DType::bf16};
  const std::vector<TensorSpec> in = {rows, rows, rows, {{64}, DType::i32}};
  EXPECT_NE(workspace(kAttention, in, desc, {Device::cpu, with}).per_thread,
            workspace(kAttention, in, desc, {Device::cpu, {}}).per_thread);
  EXPECT_EQ(workspace(kAttention, in, desc, {Device::reference}).per_thread, 0u);
}

}  // namespace
}  // namespace birkhoff::testing
