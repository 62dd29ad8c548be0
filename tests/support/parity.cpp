#include "tests/support/parity.h"

#include <algorithm>

#include "comm/local/one_rank.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/choices.h"
#include "engine/config/load.h"
#include "engine/optim/optimizer.h"
#include "engine/train/import_model.h"
#include "engine/train/scorer.h"
#include "engine/train/session.h"
#include "kernels/adamw.h"
#include "kernels/mhc.h"
#include "kernels/storage.h"
#include "tests/support/model_run.h"
#include "tests/support/operator_check.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

constexpr std::string_view kParameter = "parameter.";

Device device_of(DType dtype) { return dtype == DType::f64 ? Device::reference : Device::cpu; }

TensorSpec f64(Shape shape) { return {std::move(shape), DType::f64}; }

// Copies every parameter of the case to its view, converted to the view's dtype.
void load(const TensorFile& from, const std::vector<TensorView>& views) {
  size_t named = 0;
  for (const auto& [name, tensor] : from.tensors) named += name.starts_with(kParameter);
  for (const TensorView& view : views) {
    const Tensor& t = from.tensor(std::string(kParameter) + view.name);
    if (t.spec.shape != view.spec.shape)
      throw CheckpointError(fmt::format("{} is {}, the model's {}", view.name, to_string(t.spec),
                                        to_string(view.spec)));
    const Tensor converted = t.as(view.spec.dtype);
    std::copy(converted.bytes.begin(), converted.bytes.end(), view.bytes.begin());
  }
  if (named != views.size())
    throw CheckpointError(
        fmt::format("{} parameters for a model that has {}", named, views.size()));
}

// Sequences [first, first + count) of the case; each is a document.
Batch batch_of(const TensorFile& from, int64_t first, int64_t count, int64_t sequence) {
  const Tensor &token = from.tensor("batch.token"), &target = from.tensor("batch.target");
  check((first + count) * sequence <= token.spec.count(), "no sequence {} of {}", first + count - 1,
        to_string(token.spec));
  Batch batch;
  batch.resize(count, sequence);
  for (int64_t i = 0; i < count * sequence; ++i) {
    batch.token[size_t(i)] = int32_t(token.at(first * sequence + i));
    batch.target[size_t(i)] = int32_t(target.at(first * sequence + i));
    batch.position[size_t(i)] = int32_t(i % sequence);
    batch.first_key[size_t(i)] = int32_t(i / sequence * sequence);
    batch.valid += batch.target[size_t(i)] >= 0;
  }
  return batch;
}

Config config_of(const TensorFile& from) { return parse_config(from.text("config"), "case"); }

Tensor logits_of(const TensorFile& from, const Config& c, DType dtype) {
  const int64_t sequence = c.train.sequence, sequences = c.train.global_batch;
  Program program(dtype);
  const DecodeIo io = trace_decode(program, c, sequence, sequence);
  const Schedule schedule = {forward_part("decode", program)};
  ThreadTeam team(2);
  Executor executor(schedule, team, {.device = device_of(dtype)});
  load(from, model_views(program, executor));
  Tensor logits(f64({sequences * sequence, c.model.vocab}));
  for (int64_t s = 0; s < sequences; ++s) {
    const Batch batch = batch_of(from, s, 1, sequence);
    std::copy(batch.token.begin(), batch.token.end(), executor.data<int32_t>(io.token).begin());
    std::copy(batch.position.begin(), batch.position.end(),
              executor.data<int32_t>(io.position).begin());
    executor.data<int32_t>(io.length)[0] = 0;
    executor.run(0);
    int64_t at = s * sequence * c.model.vocab;
    dispatch(wide(dtype), [&](auto type) {
      if constexpr (!std::is_same_v<decltype(type), bf16>)
        for (const auto x : executor.data<decltype(type)>(io.logits)) logits.set(at++, double(x));
    });
  }
  return logits;
}

TensorFile run_model(const TensorFile& from, DType dtype) {
  const Config c = config_of(from);
  ModelRun run(c, {.dtype = dtype, .device = device_of(dtype), .threads = 2});
  const auto views = model_views(run.program, *run.executor);
  load(from, views);
  const Batch batch = batch_of(from, 0, c.train.global_batch, c.train.sequence);
  fill_inputs(*run.executor, run.io, batch);
  if (dtype == DType::f64)
    run.executor->data<double>(run.io.scale)[0] = 1 / double(batch.valid);
  else
    run.executor->data<float>(run.io.scale)[0] = float(1 / double(batch.valid));
  TensorFile out;
  out.tensors["loss"] = Tensor(f64({1}), {run.step()});
  out.tensors["logits"] = logits_of(from, c, dtype);
  const Tensors gradients = run.gradients();
  for (const TensorView& view : views)
    if (const auto g = gradients.find(view.name); g != gradients.end())
      out.tensors["gradient." + view.name] = Tensor(f64(view.spec.shape), g->second);
  return out;
}

TensorFile run_import(const TensorFile& from, DType dtype) {
  const Scratch scratch;
  const Shape& batch = from.tensor("batch.token").spec.shape;
  const Imported imported = import_model(
      {.source = from.text("directory"),
       .out = scratch / "run",
       .overrides = {fmt::format("train.global_batch={}", batch.at(0)),
                     fmt::format("train.micro_batch={}", batch.at(0)),
                     fmt::format("train.sequence={}", batch.at(1)), "train.telemetry_every=0"}});
  const Checkpoint checkpoint = Checkpoint::open(imported.checkpoint);
  TensorFile model = from;
  model.metadata["config"] = effective_yaml(imported.config);
  for (const StoredTensor& stored : checkpoint.manifest().tensors) {
    if (stored.name.starts_with("adam_")) continue;
    Tensor t(stored.spec);
    checkpoint.read(stored.name, stored.spec, t.bytes);
    model.tensors[std::string(kParameter) + stored.name] = t;
  }
  return run_model(model, dtype);
}

TensorFile run_training(const TensorFile& from) {
  const Config c = config_of(from);
  const int64_t steps = from.tensor("batch.token").spec.shape.at(0);
  ThreadTeam team(2);
  OneRank ranks;
  Session session(c, team, ranks);
  session.initialise();
  std::vector<TensorView> views;
  for (const TensorView& view : session.tensors())
    if (!view.name.starts_with("adam_")) views.push_back(view);
  load(from, views);

  std::vector<double> losses, norms, rates;
  for (int64_t t = 1; t <= steps; ++t) {
    std::vector<Batch> batches;
    for (int64_t s = 0; s < c.train.global_batch; s += c.train.micro_batch)
      batches.push_back(batch_of(from, (t - 1) * c.train.global_batch + s, c.train.micro_batch,
                                 c.train.sequence));
    const StepResult result = session.step(t, batches);
    losses.push_back(result.loss), norms.push_back(result.grad_norm), rates.push_back(result.lr);
  }
  TensorFile out;
  out.tensors["loss"] = Tensor(f64({steps}), losses);
  out.tensors["grad_norm"] = Tensor(f64({steps}), norms);
  out.tensors["lr"] = Tensor(f64({steps}), rates);
  for (const TensorView& view : views) {
    Tensor t(view.spec);
    std::copy(view.bytes.begin(), view.bytes.end(), t.bytes.begin());
    out.tensors[std::string(kParameter) + view.name] = t;
  }
  return out;
}

TensorFile run_mhc(const TensorFile& from, DType dtype) {
  const MhcDesc desc{
      .n = int(from.number("n")),
      .eps = from.number("eps"),
      .iterations = int(from.number("iterations")),
      .sinkhorn = from.text("sinkhorn") == "v4" ? SinkhornForm::v4 : SinkhornForm::paper};
  const StreamsDesc streams{.n = desc.n};
  const RunOptions options{.device = device_of(dtype), .threads = 2};
  const auto in = [&](const char* name) { return from.tensor(name).as(dtype); };
  const Tensor x = in("x"), f = in("f"), phi = in("phi"), alpha = in("alpha"), b = in("b");
  const Tensor dh = in("dh"), dy = in("dy");

  const auto open = run(kMhcOpen, {x, phi, alpha, b}, desc, options);
  const Tensor &link = open[MhcOpen::link], &post = open[MhcOpen::post], &res = open[MhcOpen::res];
  const auto close = run(kMhcClose, {link, f, post, res}, streams, options);
  const auto d = run(kMhcCloseBackward, {dy, f, post}, streams, options);
  const auto back = run(kMhcOpenBackward,
                        {x, phi, alpha, b, open[MhcOpen::u], open[MhcOpen::rho], dh, dy,
                         d[MhcCloseBackward::dpost], Tensor()},
                        desc, options);
  return {{},
          {{"h", open[MhcOpen::h]},
           {"y", close[MhcClose::y]},
           {"post", post},
           {"res", res},
           {"df", d[MhcCloseBackward::df]},
           {"dx", back[MhcOpenBackward::dx]},
           {"dphi", back[MhcOpenBackward::dphi]},
           {"dalpha", back[MhcOpenBackward::dalpha]},
           {"db", back[MhcOpenBackward::db]}}};
}

TensorFile run_adamw(const TensorFile& from) {
  Config c;
  c.optim.beta1 = from.number("beta1"), c.optim.beta2 = from.number("beta2");
  c.optim.lr = from.number("lr");
  c.optim.schedule = LrSchedule::constant, c.optim.warmup_steps = 0;
  const AdamW::Desc desc{.beta1 = c.optim.beta1,
                         .beta2 = c.optim.beta2,
                         .eps = from.number("eps"),
                         .weight_decay = from.number("weight_decay")};
  const Tensor& p = from.tensor("p");
  const Tensor& g = from.tensor("g");
  const int64_t steps = g.spec.shape.at(0), count = p.spec.count();
  std::vector<Tensor> state(3, Tensor(p.spec, std::byte{0}));
  state[AdamW::p] = p;
  TensorFile out;
  for (const char* name : {"p", "m", "v"}) out.tensors[name] = Tensor(g.spec);
  for (int64_t t = 0; t < steps; ++t) {
    const auto h = hyper_of(c, t + 1);
    const Tensor hyper({{4}, DType::f32}, std::vector<double>(h.begin(), h.end()));
    Tensor gradient(p.spec);
    for (int64_t i = 0; i < count; ++i) gradient.set(i, g.at(t * count + i));
    state = run(kAdamW, {gradient, hyper, Tensor({{1}, DType::f32}, {1})}, desc,
                {.device = Device::cpu}, 0, state);
    for (int64_t i = 0; i < count; ++i) {
      out.tensors["p"].set(t * count + i, state[AdamW::p].at(i));
      out.tensors["m"].set(t * count + i, state[AdamW::m].at(i));
      out.tensors["v"].set(t * count + i, state[AdamW::v].at(i));
    }
  }
  return out;
}

}  // namespace

TensorFile run_parity(const TensorFile& from, DType dtype) {
  const std::string& what = from.text("run");
  if (what == "model") return run_model(from, dtype);
  if (what == "import") return run_import(from, dtype);
  if (what == "mhc" && dtype != DType::bf16) return run_mhc(from, dtype);
  if (dtype != DType::f32)
    throw CheckpointError(fmt::format("a case of {} does not run in {}", what, name_of(dtype)));
  if (what == "training") return run_training(from);
  if (what == "adamw") return run_adamw(from);
  throw CheckpointError(
      fmt::format("run '{}' is none of model, import, training, mhc, adamw", what));
}

std::vector<std::string> residuals_available() {
  std::vector<std::string> all;
  for (const ResidualKind kind : {ResidualKind::plain, ResidualKind::hc, ResidualKind::mhc}) {
    Config c;
    c.model.residual = kind;
    const auto faults = findings(c, Use::reading);
    const bool refused = std::any_of(faults.begin(), faults.end(), [](const Finding& f) {
      return f.severity == Severity::error;
    });
    if (!refused) all.emplace_back(name(kind));
  }
  return all;
}

}  // namespace birkhoff::testing
