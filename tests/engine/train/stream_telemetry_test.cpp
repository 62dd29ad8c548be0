#include "engine/train/stream_telemetry.h"

#include <gtest/gtest.h>

#include <cmath>

#include "comm/local/run_ranks.h"
#include "tests/engine/train/small_session.h"

namespace birkhoff::testing {
namespace {

using Values = std::vector<double>;

StreamTelemetry telemetry_of(const std::vector<std::span<const double>>& sums) {
  StreamTelemetry t;
  stream_telemetry(sums, t);
  return t;
}

// Two sublayers, two residual streams, two tokens: R_0 = [1 2; 0 −4], R_1 = [1 1; 0.5 0.5].
TEST(StreamTelemetry, OfKnownMatrices) {
  const Values first = {2, 4, 0, -8, 1, 2}, second = {2, 2, 1, 1, -2, 2};
  const StreamTelemetry t = telemetry_of({first, second});
  EXPECT_EQ(t.gain_forward, (Values{4, 2}));
  EXPECT_EQ(t.gain_backward, (Values{2, 1.5}));
  EXPECT_EQ(t.column_error, (Values{3, 0.5}));
  EXPECT_EQ(t.cosine, (Values{0.5, -1}));
  // R_1·R_0 = [1 −2; 0.5 −1]; R_0·R_1 would be [2 2; −2 −2].
  EXPECT_EQ(t.composite_forward, (Values{1, 2}));
  EXPECT_EQ(t.composite_backward, (Values{3, 1.5}));
}

TEST(StreamTelemetry, WhatIsNotFiniteStaysSo) {
  const double nan = std::nan("");
  const Values broken = {1, nan, 0, 1, nan, 1}, whole = {1, 0, 0, 1, 1, 1};
  const StreamTelemetry t = telemetry_of({broken, whole});
  EXPECT_TRUE(std::isnan(t.gain_forward[0]) && std::isnan(t.composite_backward[0]));
  EXPECT_EQ(t.gain_forward[1], 1);
  EXPECT_EQ(t.composite_forward[1], 1);
}

// Whatever H_res has become, mHC's rows sum to 1, so that nothing is amplified on the way forward;
// 20 iterations leave columns near 1. At the start the residual streams are copies of each other.
TEST(StreamTelemetry, OfATrainedModel) {
  Config c = session_config(ResidualKind::mhc);
  c.train.telemetry_every = 4;
  ThreadTeam team(1);
  run_ranks(1, [&](Communicator& ranks) {
    Session session(c, team, ranks);
    session.initialise();
    const size_t sublayers = size_t(2 * c.model.layers);
    for (int64_t step = 1; step <= 12; ++step) {
      std::vector<Batch> batches;
      for (int64_t m = 0; m < session.own_micro_batches().size(); ++m)
        batches.push_back(text_batch(c, step * 10 + m));
      const StreamTelemetry t = session.step(step, batches).streams;
      EXPECT_EQ(t.empty(), step != 1 && step % 4 != 0) << step;
      if (t.empty()) continue;
      ASSERT_EQ(t.gain_forward.size(), sublayers);
      for (size_t l = 0; l < sublayers; ++l) {
        // A row of 4 rounded entries, and a product of that many.
        EXPECT_NEAR(t.gain_forward[l], 1, 8 * 1.2e-7) << l;
        EXPECT_NEAR(t.composite_forward[l], 1, double(sublayers) * 8 * 1.2e-7) << l;
        EXPECT_LT(t.column_error[l], 0.1) << l;
        EXPECT_LE(t.cosine[l], 1 + 1e-6) << l;
        // ‖H_res‖₁ as measured bounds the product's.
        double bound = 1;
        for (size_t k = l; k < sublayers; ++k) bound *= t.gain_backward[k];
        EXPECT_LE(t.composite_backward[l], bound * (1 + 1e-6)) << l;
      }
      EXPECT_NEAR(t.cosine[0], 1, 1e-6);
    }
  });
}

// H_res of HC starts as the identity, and nothing constrains its rows.
TEST(StreamTelemetry, OfHyperConnections) {
  Config c = session_config(ResidualKind::hc);
  c.train.telemetry_every = 20;
  ThreadTeam team(1);
  run_ranks(1, [&](Communicator& ranks) {
    Session session(c, team, ranks);
    session.initialise();
    const Values ones(size_t(2 * c.model.layers), 1), zeros(ones.size(), 0);
    for (int64_t step = 1; step <= 20; ++step) {
      const Batch batch = text_batch(c, step);
      const StreamTelemetry t = session.step(step, {&batch, 1}).streams;
      if (step == 1) {
        EXPECT_EQ(t.gain_forward, ones);
        EXPECT_EQ(t.gain_backward, ones);
        EXPECT_EQ(t.composite_forward, ones);
        EXPECT_EQ(t.composite_backward, ones);
        EXPECT_EQ(t.column_error, zeros);
      }
      if (step != 20) continue;
      // 19 steps of AdamW move a bias by up to 19·lr = 0.06, a hundred thousand roundings.
      double most = 0;
      for (const double gain : t.gain_forward) most = std::max(most, std::abs(gain - 1));
      EXPECT_GT(most, 1e-3);
      EXPECT_LT(most, 1);
    }
  });
}

// The statistics only observe: results are bitwise identical with and without them.
TEST(StreamTelemetry, ChangesNothing) {
  const auto trained = [](int64_t every) {
    Config c = session_config(ResidualKind::mhc);
    c.train.telemetry_every = every, c.train.recompute = 3;
    std::vector<std::byte> state;
    ThreadTeam team(1);
    run_ranks(1, [&](Communicator& ranks) {
      Session session(c, team, ranks);
      session.initialise();
      for (int64_t step = 1; step <= 3; ++step) {
        std::vector<Batch> batches;
        for (int64_t m = 0; m < session.own_micro_batches().size(); ++m)
          batches.push_back(text_batch(c, step * 10 + m));
        EXPECT_EQ(session.step(step, batches).streams.empty(), every == 0);
      }
      state = state_of(session);
    });
    return state;
  };
  EXPECT_EQ(trained(0), trained(1));
}

}  // namespace
}  // namespace birkhoff::testing
