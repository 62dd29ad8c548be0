#include "tests/support/operator_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/buffer.h"

namespace birkhoff::testing {
namespace {

std::vector<TensorSpec> specs_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const Tensor& t : tensors) specs.push_back(t.spec);
  return specs;
}

Tensor base_for(const TensorSpec& spec, size_t k) {
  return is_floating(spec.dtype) ? random_tensor(spec, fmt::format("base{}", k))
                                 : Tensor(spec, std::vector<double>(size_t(spec.count()), 3));
}

// Runs gradient rules eagerly: a slot is an index into `slots_`.
class EagerGradient final : public Gradient {
 public:
  EagerGradient(std::vector<Tensor> inputs, std::vector<Tensor> outputs, std::vector<Tensor> dys,
                Desc desc, int round)
      : inputs_(int(inputs.size())), outputs_(int(outputs.size())), desc_(desc), round_(round) {
    for (auto* group : {&inputs, &outputs, &dys})
      for (Tensor& t : *group) slots_.push_back(std::move(t));
    sums_.resize(size_t(inputs_));
  }
  SlotId in(int i) const override { return slots_[size_t(i)].bytes.empty() ? kNone : i; }
  SlotId out(int k) const override { return inputs_ + k; }
  SlotId dy(int k) const override {
    const SlotId id = inputs_ + outputs_ + k;
    return slots_[size_t(id)].bytes.empty() ? kNone : id;
  }
  const Desc& desc() const override { return desc_; }
  void emit(const Operator& op, std::vector<SlotId> in, std::vector<SlotId> of,
            Desc desc) override {
    std::vector<Tensor> operands;
    for (const SlotId id : in) operands.push_back(id == kNone ? Tensor() : slots_[size_t(id)]);
    const auto made = run(op, operands, desc, {}, round_);
    ASSERT_EQ(made.size(), of.size()) << op.name << ": one target for each output";
    for (size_t k = 0; k < of.size(); ++k) {
      slots_.push_back(made[k]);
      if (of[k] != kNone) pass(SlotId(slots_.size()) - 1, of[k]);
    }
  }
  void pass(SlotId d, SlotId of) override {
    ASSERT_LT(of, inputs_) << "a gradient of something that is no input";
    Tensor& sum = sums_[size_t(of)];
    const Tensor& part = slots_[size_t(d)];
    ASSERT_EQ(part.spec, slots_[size_t(of)].spec) << "gradient of input " << of;
    if (sum.bytes.empty())
      sum = part;
    else
      for (int64_t i = 0; i < sum.spec.count(); ++i) sum.set(i, sum.at(i) + part.at(i));
  }
  std::vector<Tensor> sums() const { return sums_; }

 private:
  int inputs_, outputs_;
  std::vector<Tensor> slots_, sums_;
  Desc desc_;
  int round_;
};

std::string name_of(const Example& e) {
  return fmt::format("{} {}", e.op->name, e.label.empty() ? e.desc.text() : e.label);
}

void check_against_reference(const Example& e, const std::vector<Tensor>& want) {
  const auto got = run(*e.op, e.inputs, e.desc, {.device = Device::cpu}, e.round, e.update_bases);
  for (size_t k = 0; k < got.size(); ++k) {
    double scale = e.scale;
    for (int64_t i = 0; i < want[k].spec.count(); ++i)
      scale = std::max(scale, std::abs(want[k].at(i)));
    const double epsilon = is_floating(got[k].spec.dtype) ? 1.1920929e-7 : 0;
    expect_close(got[k], want[k], e.tolerance * epsilon * scale,
                 fmt::format("{} output {} cpu against fp64", name_of(e), k));
  }
  for (const int threads : {2, 3}) {
    const auto again = run(*e.op, e.inputs, e.desc, {.device = Device::cpu, .threads = threads},
                           e.round, e.update_bases);
    for (size_t k = 0; k < got.size(); ++k)
      expect_same_bits(again[k], got[k], fmt::format("{} threads {}", name_of(e), threads));
  }
}

void check_base_rule(const Example& e) {
  for (const Device device : {Device::cpu, Device::reference}) {
    const auto plain = run(*e.op, e.inputs, e.desc, {.device = device}, e.round);
    const auto outputs = e.op->outputs(specs_of(e.inputs), e.desc);
    for (const bool in_place : {false, true}) {
      const auto got = run(*e.op, e.inputs, e.desc,
                           {.device = device, .bases = true, .in_place = in_place}, e.round);
      for (size_t k = 0; k < got.size(); ++k) {
        if (outputs[k].view_of != kNone) continue;  // no body writes it
        Tensor want = base_for(plain[k].spec, k);
        double scale = 0;
        for (int64_t i = 0; i < want.spec.count(); ++i) {
          scale = std::max({scale, std::abs(want.at(i)), std::abs(plain[k].at(i))});
          want.set(i, want.at(i) + plain[k].at(i));
        }
        // Not bitwise: a body may add the base inside its own sum.
        expect_close(got[k], want, e.tolerance * 1.2e-7 * scale,
                     fmt::format("{} output {} base{} device {}", name_of(e), k,
                                 in_place ? "==out" : "", int(device)));
      }
    }
  }
}

// Half an ulp of bf16, relative: 8 bits of significand.
constexpr double kHalfUlp = 1.0 / 256;

// The example's inputs with activations in bf16, as the cpu gets them; or, for f64, with
// activations and inputs that are read as bf16 rounded to bf16.
std::vector<Tensor> stored_inputs(const Example& e, bool in_f64) {
  std::vector<Tensor> inputs = e.inputs;
  for (const int i : e.stored)
    if (Tensor& t = inputs[size_t(i)]; t.spec.dtype != DType::none) t = t.as(DType::bf16);
  if (!in_f64) return inputs;
  for (const int i : e.read_as_stored) inputs[size_t(i)] = inputs[size_t(i)].as(DType::bf16);
  return in_double(inputs);
}

// bf16 is rounded once: |got − want| ≤ 2^-8·|want|, plus the error of f32 and, for rounded
// intermediate values, stored_tolerance and stored_bounds.
void expect_stored(const Example& e, size_t output, const Tensor& got, const Tensor& want,
                   const std::string& what) {
  const auto& loose = e.stored_tolerance_of;
  const bool stored = loose.empty() || std::count(loose.begin(), loose.end(), int(output));
  double scale = e.scale;
  for (int64_t i = 0; i < want.spec.count(); ++i) scale = std::max(scale, std::abs(want.at(i)));
  const bool floating = is_floating(got.spec.dtype);
  const double off = e.tolerance * 1.2e-7 * scale;
  const double between = floating && stored ? e.stored_tolerance * kHalfUlp * scale : 0;
  const Tensor bounds = output < e.stored_bounds.size() ? e.stored_bounds[output] : Tensor();
  const double half = got.spec.dtype == DType::bf16 ? kHalfUlp : 0;
  for (int64_t i = 0; i < want.spec.count(); ++i) {
    const double error = std::abs(got.at(i) - want.at(i));
    const double bound =
        half * std::abs(want.at(i)) + off + between + (bounds.bytes.empty() ? 0 : bounds.at(i));
    ASSERT_TRUE(error <= bound) << what << " at " << i << ": got " << got.at(i) << ", want "
                                << want.at(i) << ", error " << error << ", bound " << bound;
  }
}

void check_stored(const Example& e) {
  const auto want = run(*e.op, stored_inputs(e, true), e.desc, {}, e.round);
  const auto inputs = stored_inputs(e, false);
  const auto specs = e.op->outputs(specs_of(inputs), e.desc);
  std::vector<Tensor> first;
  for (const Device device : {Device::reference, Device::cpu})
    for (const int threads : {1, 2, 3}) {
      if (device == Device::reference && threads > 1) continue;
      const auto got = run(*e.op, inputs, e.desc, {.device = device, .threads = threads}, e.round);
      for (size_t k = 0; k < got.size(); ++k) {
        const auto what = fmt::format("{} bf16 output {} device {} threads {}", name_of(e), k,
                                      int(device), threads);
        expect_stored(e, k, got[k], want[k], what);
        if (threads > 1) expect_same_bits(got[k], first[k], what);
      }
      first = got;
    }
  for (const bool in_place : {false, true}) {
    const auto got = run(*e.op, inputs, e.desc,
                         {.device = Device::cpu, .bases = true, .in_place = in_place}, e.round);
    for (size_t k = 0; k < got.size(); ++k) {
      if (specs[k].view_of != kNone) continue;
      Tensor sum = base_for(specs[k].spec, k).as(want[k].spec.dtype);
      for (int64_t i = 0; i < sum.spec.count(); ++i) sum.set(i, sum.at(i) + want[k].at(i));
      double largest = 0;  // magnitude of what cancels in the sum
      for (int64_t i = 0; i < sum.spec.count(); ++i)
        largest = std::max(largest, std::abs(want[k].at(i)));
      Example of_sum = e;
      of_sum.scale = std::max(e.scale, largest);
      expect_stored(
          of_sum, k, got[k], sum,
          fmt::format("{} bf16 output {} base{}", name_of(e), k, in_place ? "==out" : ""));
    }
  }
}

// Number of elements per input that are differenced, evenly spread: each costs two reference runs.
constexpr int64_t kDifferences = 200;

double weighted(const std::vector<Tensor>& out, const std::vector<Tensor>& weights) {
  double sum = 0;
  for (size_t k = 0; k < out.size(); ++k)
    if (!weights[k].bytes.empty())
      for (int64_t i = 0; i < out[k].spec.count(); ++i) sum += out[k].at(i) * weights[k].at(i);
  return sum;
}

void check_gradient(const Example& e, const std::vector<Tensor>& out) {
  auto inputs = in_double(e.inputs);
  std::vector<Tensor> weights;
  const auto outputs = e.op->outputs(specs_of(inputs), e.desc);
  for (size_t k = 0; k < out.size(); ++k)
    // The gradient of a private link has a meaning only between two operators: the pair is tested.
    weights.push_back(is_floating(out[k].spec.dtype) && !outputs[k].saved &&
                              !outputs[k].private_link
                          ? random_tensor(out[k].spec, fmt::format("weight{}", k))
                          : Tensor());
  const auto rule = gradients(*e.op, inputs, e.desc, weights, e.round);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_floating(inputs[i].spec.dtype)) continue;
    if (std::count(e.constant_inputs.begin(), e.constant_inputs.end(), int(i))) continue;
    ASSERT_FALSE(rule[i].bytes.empty()) << name_of(e) << ": no gradient of input " << i;
    Tensor want = rule[i];
    double scale = 0;
    const int64_t count = want.spec.count(), step = 1 + count / kDifferences;
    for (int64_t j = 0; j < count; j += step) {
      const double x = inputs[i].at(j), h = 1e-5 * std::max(1.0, std::abs(x));
      double f[2];
      for (const int side : {0, 1}) {
        inputs[i].set(j, side ? x + h : x - h);
        f[side] = weighted(run(*e.op, inputs, e.desc, {}, e.round), weights);
      }
      inputs[i].set(j, x);
      want.set(j, (f[1] - f[0]) / (2 * h));
      scale = std::max({scale, std::abs(want.at(j)), std::abs(f[0]) * 1e-3});
    }
    // Central differences have an error of h² by truncation and 1e-16/h by rounding, both about
    // 1e-10 of the scale.
    expect_close(rule[i], want, 1e-6 * std::max(scale, 1e-3),
                 fmt::format("{} gradient of input {}", name_of(e), i));
  }
}

}  // namespace

std::vector<Example>& examples() {
  static std::vector<Example> all;
  return all;
}

RegisterExamples::RegisterExamples(const std::function<std::vector<Example>()>& make) {
  for (Example& e : make()) examples().push_back(std::move(e));
}

std::vector<Tensor> run(const Operator& op, const std::vector<Tensor>& inputs, const Desc& desc,
                        const RunOptions& options, int round,
                        const std::vector<Tensor>& update_bases) {
  const auto specs = specs_of(inputs);
  const auto outputs = op.outputs(specs, desc);
  std::vector<Tensor> made, bases;
  std::vector<Operand> operands;
  for (size_t i = 0; i < inputs.size(); ++i)
    operands.push_back({&specs[i], inputs[i].bytes.empty() ? nullptr : inputs[i].bytes.data()});
  for (size_t k = 0; k < outputs.size(); ++k) {
    made.emplace_back(outputs[k].spec);
    bases.push_back(op.updates                          ? update_bases.at(k)
                    : options.bases || options.in_place ? base_for(outputs[k].spec, k)
                                                        : Tensor());
    if (options.in_place || op.updates) made[k] = bases[k];
  }
  std::vector<Result> results;
  for (size_t k = 0; k < outputs.size(); ++k)
    results.push_back({&made[k].spec, made[k].bytes.data(),
                       options.in_place || op.updates ? made[k].bytes.data()
                       : options.bases                ? bases[k].bytes.data()
                                                      : nullptr});
  ThreadTeam team(options.threads);
  const Target target{options.device};
  const Implementation* chosen = implementation(op, specs, desc, target);
  check(chosen, "[{}] has no implementation on {}", op.name, name_of(options.device));
  Workspace w = workspace(op, specs, desc, target);
  w.per_thread = (w.per_thread + 63) / 64 * 64;
  Buffer shared(w.shared), per_thread(w.per_thread * size_t(options.threads));
  // Garbage as left by an earlier call: a body must not rely on zeros.
  for (const Buffer* b : {&shared, &per_thread}) std::fill_n(b->data(), b->size(), std::byte{0xFF});
  Context context{.team = &team,
                  .shared_workspace = shared.data(),
                  .thread_workspaces = per_thread.data(),
                  .thread_stride = w.per_thread,
                  .round = round};
  const Args args{operands, results, &desc, &context};
  if (outputs.size() > 0) {
    // The bytes of a view are those of its input.
    bool only_views = true;
    for (size_t k = 0; k < outputs.size(); ++k)
      if (outputs[k].view_of != kNone) {
        const auto& from = inputs[size_t(outputs[k].view_of)].bytes;
        std::copy_n(from.begin() + long(outputs[k].offset), made[k].bytes.size(),
                    made[k].bytes.begin());
      } else {
        only_views = false;
      }
    if (only_views) return made;
  }
  chosen->run(args);
  return made;
}

std::vector<Tensor> in_double(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> all;
  for (const Tensor& t : inputs) all.push_back(is_floating(t.spec.dtype) ? t.as(DType::f64) : t);
  return all;
}

std::vector<Tensor> gradients(const Operator& op, const std::vector<Tensor>& inputs,
                              const Desc& desc, const std::vector<Tensor>& weights, int round) {
  EagerGradient eager(inputs, run(op, inputs, desc, {}, round), weights, desc, round);
  op.gradient(eager);
  return eager.sums();
}

void check_operator(const Example& e) {
  SCOPED_TRACE(name_of(e));
  const auto want = run(*e.op, in_double(e.inputs), e.desc, {}, e.round,
                        e.op->updates ? in_double(e.update_bases) : std::vector<Tensor>());
  const auto outputs = e.op->outputs(specs_of(e.inputs), e.desc);
  const bool rounds = std::any_of(outputs.begin(), outputs.end(),
                                  [](const Output& out) { return out.spec.dtype == DType::bf16; });
  if (!rounds) check_against_reference(e, want);
  if (!rounds && !e.op->updates) check_base_rule(e);
  if (rounds || !e.stored.empty()) check_stored(e);
  if (e.op->gradient && e.differentiable) check_gradient(e, want);
  const auto specs = specs_of(e.inputs);
  EXPECT_GE(e.op->flops(specs, e.desc), 0);
}

double unique_bytes(const Operator& op, const std::vector<TensorSpec>& inputs, const Desc& desc) {
  if (op.bytes) return op.bytes(inputs, desc);
  double bytes = 0;
  for (const TensorSpec& spec : inputs) bytes += double(spec.bytes());
  for (const Output& out : op.outputs(inputs, desc))
    if (out.view_of == kNone) bytes += double(out.spec.bytes());
  return bytes;
}

void expect_close(const Tensor& got, const Tensor& want, double bound, const std::string& what) {
  ASSERT_EQ(got.spec.shape, want.spec.shape) << what;
  int64_t worst = -1, off = 0;
  double most = -1;
  for (int64_t i = 0; i < want.spec.count(); ++i) {
    const double error = std::abs(got.at(i) - want.at(i));
    if (error <= bound) continue;
    ++off;
    if (!(error <= most))
      most = std::isnan(error) ? std::numeric_limits<double>::infinity() : error, worst = i;
  }
  EXPECT_EQ(off, 0) << what << ": " << off << " of " << want.spec.count() << " off, worst at "
                    << worst << ": got " << got.at(std::max<int64_t>(worst, 0)) << ", want "
                    << want.at(std::max<int64_t>(worst, 0)) << ", error " << most << ", bound "
                    << bound;
}

void expect_same_bits(const Tensor& got, const Tensor& want, const std::string& what) {
  ASSERT_EQ(got.spec, want.spec) << what;
  for (int64_t i = 0; i < want.spec.count(); ++i) {
    const size_t size = size_of(want.spec.dtype), at = size_t(i) * size;
    ASSERT_EQ(std::memcmp(&got.bytes[at], &want.bytes[at], size), 0)
        << what << " differs at " << i << ": " << got.at(i) << " and " << want.at(i);
  }
}

}  // namespace birkhoff::testing
