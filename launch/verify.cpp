// birkhoff verify CKPT: checks a whole checkpoint against its hashes. The exit code is 4 if any
// byte is not as it was written.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

void verify(const Path& path) {
  const Checkpoint checkpoint = open_checkpoint(path);
  const Manifest& manifest = checkpoint.manifest();
  size_t bytes = 0;
  for (const ShardFile& file : manifest.files) bytes += file.bytes;
  const size_t tokenizer = manifest.info.tokenizer ? manifest.info.tokenizer->bytes : 0;
  {
    size_t done = 0;
    const auto show = show_work("verified");
    checkpoint.verify([&](size_t n) { show(done += n, bytes); });
  }
  fmt::print("{}: step {}, {} tensors, {} bytes in {} files: every byte matches its hash\n",
             printable(checkpoint.path().string()), manifest.info.step, manifest.tensors.size(),
             bytes + tokenizer, manifest.files.size() + (tokenizer > 0));
}

}  // namespace

void add_verify(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("verify", "Check every byte of a checkpoint against its hash");
  const auto path = std::make_shared<std::string>();
  command
      ->add_option("checkpoint", *path,
                   "checkpoint, or run directory for its newest valid checkpoint")
      ->required();
  command->callback([path] { verify(*path); });
}

}  // namespace birkhoff
