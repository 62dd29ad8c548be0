// Padding stands for no token (engine/data/samples.h): the results of a step or an evaluation do
// not depend on how many rows of padding fill up a micro-batch or a window.
#include <gtest/gtest.h>

#include <cmath>

#include "comm/local/run_ranks.h"
#include "engine/data/loader.h"
#include "engine/train/evaluation.h"
#include "engine/train/scorer.h"
#include "tests/engine/data/files.h"
#include "tests/engine/train/small_session.h"

namespace birkhoff::testing {
namespace {

constexpr int64_t kSequences = 6;  // per step

Config step_config(ResidualKind residual, int64_t micro_batch) {
  Config c = session_config(residual);
  c.moe.experts = 6, c.moe.active = 2, c.moe.bias_speed = 0.25;
  c.train.global_batch = kSequences, c.train.micro_batch = micro_batch;
  return c;
}

struct Step {
  StepResult result;
  std::vector<std::vector<float>> biases;  // of the experts, by MoE layer
};

// Step 1, as rank 0 sees it; every rank sees the same.
Step first_step(const Config& c, int ranks = 1) {
  std::vector<Step> steps(static_cast<size_t>(ranks));
  run_ranks(ranks, [&](Communicator& comm) {
    ThreadTeam team(1);
    Session session(c, team, comm);
    session.initialise();
    const auto samples = random_samples(
        "train", 100, {.sequence = c.train.sequence, .vocab = c.model.vocab, .seed = 3});
    const Range own = session.own_micro_batches();
    const BatchOrder order{.global_batch = c.train.global_batch,
                           .micro_batch = c.train.micro_batch,
                           .begin = own.begin,
                           .end = own.end};
    std::vector<Batch> batches(size_t(own.size()));
    for (int64_t m = 0; m < own.size(); ++m) order.read(*samples, m, batches[size_t(m)]);
    Step& step = steps[size_t(comm.rank())];
    step.result = session.step(1, batches);
    for (const TensorView& t : session.tensors())
      if (t.name.ends_with(".e_score_correction_bias")) {
        const auto* values = reinterpret_cast<const float*>(t.bytes.data());
        step.biases.emplace_back(values, values + t.spec.count());
      }
  });
  for (const Step& step : steps) {
    EXPECT_EQ(step.biases, steps[0].biases);
    EXPECT_EQ(step.result.expert_load, steps[0].result.expert_load);
  }
  return steps[0];
}

void expect_near(const std::vector<double>& a, const std::vector<double>& b, double bound) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], bound * std::abs(b[i])) << i;
}

// Loads, and with them biases, are counts of the same rows, which are bitwise identical in any
// micro-batch. Losses are sums in f64 of the same values in f32; gradients are summed in f32, in
// another order; telemetry is a mean of f32 values in f64.
void expect_equal(const Step& got, const Step& want, const Config& c) {
  ASSERT_EQ(got.result.expert_load.size(), size_t(c.model.layers - c.model.dense_layers));
  for (const auto& layer : got.result.expert_load) {
    int64_t sum = 0;
    for (const int64_t load : layer) sum += load;
    EXPECT_EQ(sum, kSequences * c.train.sequence * c.moe.active);
  }
  EXPECT_EQ(got.result.expert_load, want.result.expert_load);
  EXPECT_EQ(got.biases, want.biases);
  EXPECT_EQ(got.result.valid, kSequences * c.train.sequence);
  EXPECT_NEAR(got.result.loss, want.result.loss, 1e-12 * want.result.loss);
  EXPECT_NEAR(got.result.grad_norm, want.result.grad_norm, 1e-6 * want.result.grad_norm);
  const StreamTelemetry &t = got.result.streams, &u = want.result.streams;
  EXPECT_EQ(t.empty(), c.model.residual == ResidualKind::plain);
  for (const auto series : {&StreamTelemetry::gain_forward, &StreamTelemetry::gain_backward,
                            &StreamTelemetry::composite_forward,
                            &StreamTelemetry::composite_backward, &StreamTelemetry::cosine})
    expect_near(t.*series, u.*series, 1e-12);
}

TEST(Padding, OfMicroBatchesChangesNothing) {
  for (const ResidualKind residual : {ResidualKind::plain, ResidualKind::hc, ResidualKind::mhc})
    for (const double factor : {1.5, 0.3})  // one round of experts, and several
      for (const int64_t groups : {1, 3}) {
        Config c = step_config(residual, 1);
        c.moe.buffer_factor = factor, c.moe.groups = groups;
        c.parallel.ep = factor < 1 ? 2 : 1;  // traced as for two ranks: in rounds
        const Step want = first_step(c);
        EXPECT_NE(want.biases, std::vector<std::vector<float>>(2, std::vector<float>(6)));
        for (c.train.micro_batch = 1; c.train.micro_batch <= kSequences; ++c.train.micro_batch) {
          SCOPED_TRACE(fmt::format("residual {}, buffer {}, groups {}, micro_batch {}",
                                   int(residual), factor, groups, c.train.micro_batch));
          expect_equal(first_step(c), want, c);
        }
      }
}

TEST(Padding, OfMicroBatchesChangesNoLoadInBf16) {
  Config c = step_config(ResidualKind::mhc, 1);
  c.train.precision = Precision::bf16;
  const Step want = first_step(c);
  for (c.train.micro_batch = 2; c.train.micro_batch <= kSequences; ++c.train.micro_batch) {
    const Step got = first_step(c);
    EXPECT_EQ(got.result.expert_load, want.result.expert_load) << c.train.micro_batch;
    EXPECT_EQ(got.biases, want.biases);
    EXPECT_NEAR(got.result.loss, want.result.loss, 1e-12 * want.result.loss);
  }
}

// The last rank's micro-batch has fewer tokens than the others'.
TEST(Padding, OfOneRankChangesNothing) {
  Config c = step_config(ResidualKind::mhc, 1);
  const Step want = first_step(c);
  for (const auto& [micro_batch, ranks] : {std::pair{4, 2}, {5, 2}, {2, 3}, {2, 2}}) {
    c.train.micro_batch = micro_batch;
    SCOPED_TRACE(fmt::format("micro_batch {}, {} ranks", micro_batch, ranks));
    expect_equal(first_step(c, ranks), want, c);
  }
}

// Short documents: the last held-out window ends early, and has document borders before its end.
class HeldOut : public ::testing::Test {
 protected:
  HeldOut() : config_(session_config(ResidualKind::mhc)) {
    const Random random(5, "documents");
    std::vector<std::vector<int32_t>> documents;
    for (uint64_t d = 0; d < 60; ++d) {
      auto& document = documents.emplace_back();
      for (uint64_t i = 0, length = 1 + random.below(d, 9); i < length; ++i)
        document.push_back(int32_t(random.below(100 + 10 * d + i, uint64_t(config_.model.vocab))));
    }
    write_dataset(dir_ / "d", documents, config_.model.vocab);
    config_.data.path = (dir_ / "d").string();
    config_.data.validation_fraction = 0.4, config_.data.cross_documents = false;
    config_.moe.buffer_factor = 0.6, config_.parallel.ep = 2;
    data_ = open_training_data(config_);
  }

  int64_t tokens() const { return data_.source.split.validation.tokens(); }

  Scratch dir_;
  Config config_;
  TrainingData data_;
};

TEST_F(HeldOut, LossDoesNotDependOnMicroBatchOrRanks) {
  const int64_t windows = data_.source.validation->count();
  ASSERT_GT((tokens() - 1) % config_.train.sequence, 1) << "the last window is padded";
  std::vector<double> losses;
  for (const int64_t rows : {1, 2, 3, 5, 64})
    for (const int ranks : {1, 2, 3}) {
      Config c = config_;
      c.train.micro_batch = rows, c.train.global_batch = rows * ranks;
      run_ranks(ranks, [&](Communicator& comm) {
        ThreadTeam team(1);
        Session session(c, team, comm);
        session.initialise();
        const auto eval = evaluate(session, data_, windows, rows, comm, [] { return false; });
        ASSERT_TRUE(eval);
        EXPECT_EQ(eval->eval_tokens, tokens() - 1);
        if (comm.rank() == 0) losses.push_back(eval->eval_loss);
      });
    }
  for (const double loss : losses) EXPECT_EQ(loss, losses[0]);
}

// Each window against a program for exactly its tokens, and against other padding.
TEST_F(HeldOut, ScoresDoNotDependOnPadding) {
  const int64_t sequence = config_.train.sequence, windows = data_.source.validation->count();
  ThreadTeam team(1);
  Scorer scorer(config_, team, windows + 1, sequence);
  const auto fill = [&](Scorer& into) {
    for (const TensorView& t : into.tensors()) {
      const Random random(2, t.name);
      auto* values = reinterpret_cast<float*>(t.bytes.data());
      for (int64_t i = 0; i < t.spec.count(); ++i)
        values[i] = float((t.name.find("norm") != std::string::npos ? 1 : 0) +
                          0.2 * random.normal(uint64_t(i)));
    }
  };
  fill(scorer);
  Batch batch;
  read_batch(*data_.source.validation, 0, windows, windows + 1, batch);
  const auto scores = scorer.score(batch);
  const std::vector<float> nll(scores.begin(), scores.end());
  const Batch given = batch;
  for (size_t i = 0; i < batch.token.size(); ++i)
    if (batch.position[i] < 0) batch.token[i] = int32_t(i % size_t(config_.model.vocab));
  const auto again = scorer.score(batch);
  EXPECT_EQ(std::vector<float>(again.begin(), again.end()), nll);

  for (int64_t w = 0; w < windows; ++w) {
    const auto first = size_t(w * sequence);
    Batch own;
    own.resize(1, std::min(sequence, tokens() - w * sequence));
    for (size_t i = 0; i < own.token.size(); ++i) {
      ASSERT_GE(given.position[first + i], 0);
      own.token[i] = given.token[first + i], own.target[i] = given.target[first + i];
      own.position[i] = given.position[first + i];
      own.first_key[i] = given.first_key[first + i] - int32_t(first);
    }
    Scorer alone(config_, team, 1, own.sequence);
    fill(alone);
    const auto want = alone.score(own);
    for (size_t i = 0; i < own.token.size(); ++i)
      EXPECT_NEAR(nll[first + i], want[i], 1e-5) << "window " << w << " token " << i;
  }
}

}  // namespace
}  // namespace birkhoff::testing
