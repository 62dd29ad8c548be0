// birkhoff verify CKPT: reads a whole checkpoint against its hashes; exit code 4 at the first byte
// that is not as it was written.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "engine/checkpoint/checkpoint.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

// One line on a terminal, rewritten now and then: a large checkpoint takes minutes.
class ReadDisplay {
 public:
  explicit ReadDisplay(size_t bytes) : bytes_(bytes), terminal_(::isatty(2) == 1) {}
  ~ReadDisplay() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
  }
  ReadDisplay(const ReadDisplay&) = delete;
  ReadDisplay& operator=(const ReadDisplay&) = delete;

  void read(size_t bytes) {
    constexpr std::chrono::milliseconds kBetween(500);
    done_ += bytes;
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now - last_ < kBetween) return;
    last_ = now;
    shown_ = true;
    fmt::print(stderr, "\rverified {:.1f} of {:.1f} GiB\x1b[K", double(done_) / kGiB,
               double(bytes_) / kGiB);
  }

 private:
  static constexpr double kGiB = double(size_t(1) << 30);
  size_t bytes_, done_ = 0;
  bool terminal_, shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void verify(const Path& path) {
  const Checkpoint checkpoint = open_checkpoint(path);
  const Manifest& manifest = checkpoint.manifest();
  size_t bytes = 0;
  for (const ShardFile& file : manifest.files) bytes += file.bytes;
  {
    ReadDisplay display(bytes);
    checkpoint.verify([&](size_t n) { display.read(n); });
  }
  fmt::print("{}: step {}, {} tensors, {} bytes in {} files: every byte is as it was written\n",
             printable(checkpoint.path().string()), manifest.info.step, manifest.tensors.size(),
             bytes, manifest.files.size());
}

}  // namespace

void add_verify(CLI::App& app) {
  CLI::App* command = app.add_subcommand("verify", "check every byte of a checkpoint");
  const auto path = std::make_shared<std::string>();
  command
      ->add_option("checkpoint", *path, "a checkpoint, or a run, whose newest valid one is taken")
      ->required();
  command->callback([path] { verify(*path); });
}

}  // namespace birkhoff
