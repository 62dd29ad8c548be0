// fault_save RUN stop|continue KEEP STEP…: does what a training run does with its checkpoints,
// without the training, so that thousands of runs take seconds. Continues after the newest
// checkpoint: saves each of the given steps, with one line in the log, and prunes the oldest;
// errors end as they do in birkhoff. One process; several would need a communicator.
#include <signal.h>

#include <cstdio>
#include <deque>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/save.h"

namespace birkhoff {
namespace {

// Ragged sizes, several shards, an empty tensor; every byte depends on the step.
struct State {
  std::deque<std::vector<std::byte>> bytes;
  std::vector<NamedTensor> tensors;

  explicit State(int64_t step) {
    const int64_t sizes[] = {131, 0, 1, 47, 256, 89};
    for (size_t i = 0; i < std::size(sizes); ++i) {
      const TensorSpec spec{{sizes[i]}, DType::f32};
      std::vector<std::byte>& b = bytes.emplace_back(spec.bytes());
      for (size_t j = 0; j < b.size(); ++j) b[j] = std::byte(size_t(step) * 31 + i * 37 + j * 11);
      tensors.push_back({fmt::format("layers.{}.w", i), spec, b});
    }
  }
};

void save(const Path& run, int64_t step, int64_t keep, std::set<std::string>& proven) {
  const State state(step);
  const std::string tokenizer = R"({"model": {"vocab": {"a": 0, "b": 1}}})";
  const CheckpointInfo info{.step = step,
                            .tokens = step * 128,
                            .seed = 7,
                            .model = "m",
                            .tokenizer = identity_of_file(tokenizer, "t.json")};
  proven.insert(save_checkpoint(run / "checkpoints" / checkpoint_name(step), info, state.tensors,
                                {.shard_bytes = 1000, .chunk_bytes = 100}, tokenizer));
  prune_checkpoints(run, keep, proven);
}

void save_all(const Path& run, bool stop, int64_t keep, std::span<char*> steps) {
  make_durable_directories(run);
  init_log({.file = run / "log" / "rank-0000.log"});
  const std::optional<Checkpoint> latest = latest_checkpoint(run);
  const int64_t done = latest ? latest->manifest().info.step : 0;
  // Hashes of checkpoints known to be whole: a resuming run has read the newest one.
  std::set<std::string> proven;
  if (latest) latest->verify(), proven.insert(latest->manifest().hash);
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t step = std::stoll(steps[i]);
    if (step <= done) continue;
    try {
      save(run, step, keep, proven);
    } catch (const ResourceError& e) {
      if (stop || i + 1 == steps.size()) throw;
      log_warning("step {}: no checkpoint was saved, but training continues: {}", step, e.what());
      continue;
    }
    log_info("step {}: saved", step);
  }
}

}  // namespace
}  // namespace birkhoff

int main(int argc, char** argv) {
  signal(SIGXFSZ, SIG_IGN);
  try {
    birkhoff::check(argc > 4, "fault_save RUN stop|continue KEEP STEP…");
    birkhoff::save_all(argv[1], argv[2] == std::string("stop"), std::stoll(argv[3]),
                       std::span(argv + 4, argv + argc));
    return 0;
  } catch (const birkhoff::Error& e) {
    std::fprintf(stderr, "fault_save: %s\n", e.what());
    return int(e.code());
  }
}
