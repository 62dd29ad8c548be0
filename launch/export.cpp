// birkhoff export: writes a checkpoint in another project's format.
#include "engine/train/export_model.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "base/temporary.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

struct Options {
  std::string to, dtype = "f32";
  ExportOptions model;
};

void run(Options& o) {
  o.model.dtype = o.dtype == "bf16" ? DType::bf16 : DType::f32;
  remove_temporaries_on_signals();
  o.model.progress = show_work("exported");
  const size_t tensors = export_model(o.model);
  o.model.progress = nullptr;  // removes its line
  write_out(fmt::format("{}: {} tensors in {}\n", printable(o.model.out.string()), tensors,
                        name_of(o.model.dtype)));
}

}  // namespace

void add_export(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "export", "Write a plain model as a Hugging Face DeepseekV3ForCausalLM model");
  command
      ->add_option("checkpoint", o->model.source,
                   "checkpoint, or run directory for its newest checkpoint")
      ->required();
  command->add_option("--to", o->to, "format to write: hf")
      ->required()
      ->check(CLI::IsMember({"hf"}));
  command->add_option("--out", o->model.out, "directory to create; must not exist yet")->required();
  command
      ->add_option("--dtype", o->dtype,
                   "number format of the tensors: f32, as in the checkpoint, or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command
      ->add_option("--shard-bytes", o->model.shard_bytes,
                   "most bytes of tensors per file; a larger tensor gets a file of its own")
      ->check(CLI::Range(size_t(1), size_t(1) << 40));
  command->add_flag(
      "--allow-kv-norm-eps", o->model.allow_kv_norm_eps,
      "export even if model.kv_norm_eps differs from the 1e-6 that transformers uses");
  command->callback([o] { run(*o); });
}

}  // namespace birkhoff
