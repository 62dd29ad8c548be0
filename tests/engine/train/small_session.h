#pragma once
// A small model in a session, and batches for it.
#include "base/rng.h"
#include "engine/train/session.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {

// Text with something to learn: a token's successor is a function of it, with some noise.
inline Batch text_batch(const Config& c, int64_t number) {
  Batch batch;
  batch.resize(c.train.micro_batch, c.train.sequence);
  const Random random(9, "text");
  const int64_t tokens = c.train.micro_batch * c.train.sequence;
  int64_t token = 1;
  batch.valid = tokens;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto draw = uint64_t(number * tokens + t);
    const int64_t next = random.uniform(draw) < 0.2
                             ? int64_t(random.below(draw + (1u << 30), uint64_t(c.model.vocab)))
                             : (token * 7 + 3) % c.model.vocab;
    batch.token[size_t(t)] = int32_t(token);
    batch.target[size_t(t)] = int32_t(next);
    batch.position[size_t(t)] = int32_t(t % c.train.sequence);
    batch.first_key[size_t(t)] = int32_t(t - t % c.train.sequence);
    token = next;
  }
  return batch;
}

inline Config session_config(ResidualKind residual) {
  Config c = small_config();
  c.model.residual = residual, c.model.streams = 4, c.model.init_std = 0.1;
  c.train.sequence = 16;
  c.optim.lr = 3e-3, c.optim.warmup_steps = 5, c.optim.schedule = LrSchedule::constant;
  c.optim.eps = 1e-8;
  return c;
}

inline std::vector<std::byte> state_of(Session& session) {
  std::vector<std::byte> all;
  for (const TensorView& t : session.tensors())
    all.insert(all.end(), t.bytes.begin(), t.bytes.end());
  return all;
}

}  // namespace birkhoff::testing
