#include "engine/train/session.h"

#include <gtest/gtest.h>

#include <cmath>

#include "comm/local/one_rank.h"
#include "engine/train/scorer.h"
#include "tests/engine/train/small_session.h"
#include "tests/support/model_run.h"

namespace birkhoff::testing {
namespace {

// mHC at its initialisation is the plain pre-norm model with the same weights, gradients included,
// as eps → 0: the best end-to-end test there is.
TEST(SameStart, PlainAndMhcHaveTheSameLossAndGradients) {
  ModelRun plain(session_config(ResidualKind::plain), {.generic = false});
  for (const int64_t n : {1, 2, 4}) {
    Config c = session_config(ResidualKind::mhc);
    c.model.streams = n;
    ModelRun mhc(c, {.generic = false});
    const double want = plain.step(), got = mhc.step();
    EXPECT_NEAR(got / want, 1, 1e-6);
    const Tensors gradients = mhc.gradients();
    for (const auto& [name, gradient] : plain.gradients())
      EXPECT_LT(relative_difference(gradients.at(name), gradient), 1e-5) << name << " n " << n;
  }
}

// HC at its initialisation is exactly the plain model: F reads one residual stream, and where the
// sum of n equal numbers is exact, the final norm of the sum is bitwise that of one residual
// stream, and so is the loss. (x + x + x rounds, but a fourth x brings 4x back: a tie goes to the
// even x. 5x, 6x and 7x round too, so 8 residual streams need a tolerance.) The gradient of one is
// 1/n of the plain model's, and n of them are summed with roundings.
TEST(SameStart, PlainAndHcHaveTheSameBitsOfLossAndTheSameGradients) {
  ModelRun plain(session_config(ResidualKind::plain), {.generic = false});
  const double want = plain.step();
  for (const int64_t n : {1, 2, 3, 4, 8})
    for (const HcKind kind : {HcKind::dynamic, HcKind::fixed}) {
      Config c = session_config(ResidualKind::hc);
      c.model.streams = n, c.model.hc = kind;
      ModelRun hc(c, {.generic = false});
      const double got = hc.step();
      EXPECT_NEAR(got / want, 1, 1e-6) << n;
      if (n == 1 || n == 2 || n == 4) {
        EXPECT_EQ(got, want) << n;
      }
      const Tensors gradients = hc.gradients();
      for (const auto& [name, gradient] : plain.gradients())
        EXPECT_LT(relative_difference(gradients.at(name), gradient), 1e-5) << name << " n " << n;
    }
}

// Values of H_res and of the residual after the last block, for the parameters of a session.
struct Inside {
  std::vector<double> res;
  double cosine = 0;  // mean over tokens and pairs of residual streams
};

Inside look_inside(const Config& c, Session& session) {
  Program p;
  const ModelIo io = trace_scoring(p, c, c.train.micro_batch, c.train.sequence);
  for (const Opened& o : io.sublayers) p.slots[size_t(o.res.id)].kind = Kind::output;
  p.slots[size_t(io.last.id)].kind = Kind::output;
  ThreadTeam team(1);
  const Schedule schedule = {forward_part("score", p)};
  Executor executor(schedule, team);
  std::map<std::string, TensorView> from;
  for (const TensorView& t : session.tensors()) from[t.name] = t;
  for (const TensorView& to : model_views(p, executor))
    std::copy(from.at(to.name).bytes.begin(), from.at(to.name).bytes.end(), to.bytes.begin());
  fill_inputs(executor, io, text_batch(c, 0));
  executor.run(0);
  Inside inside;
  for (const Opened& o : io.sublayers)
    for (const float r : executor.data<float>(o.res)) inside.res.push_back(double(r));
  const auto x = executor.data<float>(io.last);
  const int64_t n = c.model.streams, width = c.model.dim, rows = int64_t(x.size()) / (n * width);
  int64_t pairs = 0;
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j, ++pairs) {
        double ij = 0, ii = 0, jj = 0;
        for (int64_t k = 0; k < width; ++k) {
          const double a = x[size_t((t * n + i) * width + k)],
                       b = x[size_t((t * n + j) * width + k)];
          ij += a * b, ii += a * a, jj += b * b;
        }
        inside.cosine += ij / std::sqrt(ii * jj);
      }
  inside.cosine /= double(pairs);
  return inside;
}

void expect_learning(ResidualKind residual) {
  Config c = session_config(residual);
  // Weights large enough for the sublayers to outweigh the embedding, which all residual streams
  // share.
  c.model.layers = 8, c.model.dim = 32, c.model.init_std = 0.3;
  ThreadTeam team(2);
  OneRank ranks;
  Session session(c, team, ranks);
  session.initialise();
  const Inside before = look_inside(c, session);
  EXPECT_GT(before.cosine, 0.9999);  // n copies of one embedding, equal H_post
  double first = 0, last = 0;
  for (int64_t step = 1; step <= 200; ++step) {
    const Batch batch = text_batch(c, step);
    last = session.step(step, {&batch, 1}).loss;
    if (step == 1) first = last;
  }
  const Inside after = look_inside(c, session);
  double change = 0;
  for (size_t i = 0; i < before.res.size(); ++i)
    change = std::max(change, std::abs(after.res[i] - before.res[i]));
  EXPECT_GT(change, 1e-3);
  EXPECT_LT(after.cosine, 0.999);
  EXPECT_LT(last, 0.8 * first);
}

TEST(Mhc, Learns) { expect_learning(ResidualKind::mhc); }
TEST(Hc, Learns) { expect_learning(ResidualKind::hc); }

TEST(Session, ThreadsAndRepeatsGiveTheSameBytes) {
  std::vector<std::byte> want;
  for (const int threads : {1, 1, 2, 3}) {
    Config c = session_config(ResidualKind::mhc);
    c.train.global_batch = 2 * c.train.micro_batch;
    ThreadTeam team(threads);
    OneRank ranks;
    Session session(c, team, ranks);
    session.initialise();
    for (int64_t step = 1; step <= 5; ++step) {
      const Batch batches[] = {text_batch(c, 2 * step), text_batch(c, 2 * step + 1)};
      session.step(step, batches);
    }
    const auto got = state_of(session);
    if (want.empty()) want = got;
    EXPECT_EQ(got, want) << threads << " threads";
  }
}

TEST(Session, ANumberThatIsNotFiniteStopsWithoutHarm) {
  const Config c = session_config(ResidualKind::mhc);
  ThreadTeam team(1);
  OneRank ranks;
  Session session(c, team, ranks);
  session.initialise();
  const Batch batch = text_batch(c, 1);
  session.step(1, {&batch, 1});
  for (const TensorView& t : session.tensors())
    if (t.name == "model.layers.1.self_attn.q_proj.weight")
      reinterpret_cast<float*>(t.bytes.data())[0] = std::nanf("");
  std::vector<std::vector<std::byte>> before;
  for (const TensorView& t : session.tensors()) before.emplace_back(t.bytes.begin(), t.bytes.end());
  EXPECT_THROW(session.step(2, {&batch, 1}), NumericError);
  const auto after = session.tensors();
  for (size_t i = 0; i < after.size(); ++i)
    EXPECT_TRUE(std::equal(before[i].begin(), before[i].end(), after[i].bytes.begin()))
        << after[i].name;
}

TEST(Session, ScoreEqualsTheLossOfTheStep) {
  const Config c = session_config(ResidualKind::mhc);
  ThreadTeam team(1);
  OneRank ranks;
  Session session(c, team, ranks);
  session.initialise();
  const Batch batch = text_batch(c, 1);
  double sum = 0;
  for (const float nll : session.score(batch)) sum += double(nll);
  const double want = sum / double(batch.valid);
  EXPECT_NEAR(session.step(1, {&batch, 1}).loss, want, 1e-6);
}

// Every token with a target counts the same, whatever micro-batch it is in; routing counts the
// tokens of all of them.
TEST(Session, MicroBatchesOfUnequalWeightAddUp) {
  Config c = session_config(ResidualKind::mhc);
  c.train.global_batch = 3 * c.train.micro_batch;
  ThreadTeam team(1);
  OneRank ranks;
  Session session(c, team, ranks);
  session.initialise();
  std::vector<Batch> batches = {text_batch(c, 1), text_batch(c, 2), text_batch(c, 3)};
  const int64_t tokens = batches[0].valid;
  for (size_t t = 3; t < size_t(tokens); ++t) batches[1].target[t] = -1;
  batches[1].valid = 3;
  double sum = 0;
  for (const Batch& batch : batches)
    for (const float nll : session.score(batch)) sum += double(nll);
  const StepResult r = session.step(1, batches);
  EXPECT_NEAR(r.loss, sum / double(2 * tokens + 3), 1e-6);
  for (const auto& load : r.expert_load) {
    int64_t routed = 0;
    for (const int64_t l : load) routed += l;
    EXPECT_EQ(routed, 3 * tokens * c.moe.active);
  }
}

TEST(Session, BalancingPushesTowardsTheMean) {
  Config c = session_config(ResidualKind::mhc);
  c.moe.bias_speed = 0.01;
  ThreadTeam team(1);
  OneRank ranks;
  Session session(c, team, ranks);
  session.initialise();
  const Batch batch = text_batch(c, 1);
  const StepResult r = session.step(1, {&batch, 1});
  ASSERT_EQ(r.expert_load.size(), size_t(c.model.layers - c.model.dense_layers));
  size_t layer = 0;
  for (const TensorView& t : session.tensors()) {
    if (!t.name.ends_with(".e_score_correction_bias")) continue;
    const auto* bias = reinterpret_cast<const float*>(t.bytes.data());
    const auto& load = r.expert_load[layer++];
    int64_t sum = 0;
    for (const int64_t l : load) sum += l;
    EXPECT_EQ(sum, batch.valid * c.moe.active);
    const double mean = double(sum) / double(load.size());
    for (size_t e = 0; e < load.size(); ++e)
      EXPECT_FLOAT_EQ(bias[e], double(load[e]) < mean   ? 0.01f
                               : double(load[e]) > mean ? -0.01f
                                                        : 0.0f);
  }
}

}  // namespace
}  // namespace birkhoff::testing
