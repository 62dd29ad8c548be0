// Data parallelism: what a step computes does not depend on how many ranks share it.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>

#include "comm/local/run_ranks.h"
#include "tests/engine/train/small_session.h"

namespace birkhoff::testing {
namespace {

Config parallel_config(int64_t micro_batches, int64_t groups) {
  Config c = session_config(ResidualKind::mhc);
  c.model.layers = 2, c.train.sequence = 8;
  c.train.global_batch = micro_batches * c.train.micro_batch;
  c.train.reduction_groups = groups;
  return c;
}

std::vector<Batch> own_batches(const Config& c, const Session& session, int64_t step) {
  std::vector<Batch> batches;
  const Range own = session.own_micro_batches();
  for (int64_t m = own.begin; m < own.end; ++m) {
    batches.push_back(text_batch(c, step * 100 + m));
    if (m % 3 == 1) batches.back().target[2] = -1, --batches.back().valid;
  }
  return batches;
}

struct Trained {
  std::vector<double> losses, norms;
  std::vector<int64_t> load;
  std::vector<double> streams;
  std::vector<std::byte> state;
  bool operator==(const Trained&) const = default;
};

std::vector<Trained> trained(const Config& c, int ranks, int64_t steps) {
  std::vector<Trained> all(static_cast<size_t>(ranks));
  run_ranks(ranks, [&](Communicator& comm) {
    ThreadTeam team(1);
    Session session(c, team, comm);
    session.initialise();
    Trained& t = all[size_t(comm.rank())];
    for (int64_t step = 1; step <= steps; ++step) {
      const StepResult r = session.step(step, own_batches(c, session, step));
      t.losses.push_back(r.loss), t.norms.push_back(r.grad_norm);
      for (const auto& layer : r.expert_load)
        t.load.insert(t.load.end(), layer.begin(), layer.end());
      for (const auto* series : {&r.streams.composite_backward, &r.streams.cosine})
        t.streams.insert(t.streams.end(), series->begin(), series->end());
    }
    t.state = state_of(session);
  });
  return all;
}

TEST(Ranks, EqualGroupsGiveTheSameBitsOnAnyNumber) {
  const Config c = parallel_config(9, 4);  // groups of 2, 2, 2 and 3 micro-batches
  const Trained want = trained(c, 1, 50)[0];
  for (const double norm : want.norms) EXPECT_GT(norm, 0);
  // Steps 1, 10, …, 50; two layers of two sublayers; two series.
  EXPECT_EQ(want.streams.size(), 6u * 4 * 2);
  for (const int ranks : {2, 4})
    for (const Trained& got : trained(c, ranks, 50)) EXPECT_EQ(got, want) << ranks << " ranks";
}

TEST(Ranks, SixGroups) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    Config c = parallel_config(6, 6);
    c.train.precision = precision;
    const Trained want = trained(c, 1, 5)[0];
    for (const int ranks : {2, 3, 6})
      for (const Trained& got : trained(c, ranks, 5)) EXPECT_EQ(got, want) << ranks << " ranks";
  }
}

// One step's gradients, by tensor, from equal weights.
std::map<std::string, double> gradient_norms(const Config& c, int ranks) {
  std::map<std::string, double> norms;
  run_ranks(ranks, [&](Communicator& comm) {
    ThreadTeam team(1);
    Session session(c, team, comm);
    session.initialise();
    session.step(1, own_batches(c, session, 1));
    if (comm.rank() != 0) return;
    const Executor& executor = session.executor();
    for (const Plan::Named& a : executor.plan().named(Kind::accumulator)) {
      if (a.spec.dtype != DType::f32) continue;
      double sum = 0;
      const auto* values = reinterpret_cast<const float*>(executor.address(a.place));
      for (int64_t i = 0; i < a.spec.count(); ++i) sum += double(values[i]) * double(values[i]);
      norms[a.name] = std::sqrt(sum);
    }
  });
  return norms;
}

TEST(Ranks, WithoutGroupsGradientsAreEqualToRounding) {
  const Config c = parallel_config(8, 1);
  const auto want = gradient_norms(c, 1);
  ASSERT_GT(want.size(), 10u);
  for (const int ranks : {2, 3, 5, 8})
    for (const auto& [name, norm] : gradient_norms(c, ranks))
      EXPECT_NEAR(norm, want.at(name), 1e-6 * want.at(name)) << name << " on " << ranks;
}

TEST(Ranks, AWorldThatDoesNotFitIsRefused) {
  EXPECT_EQ(reduction_groups_of(parallel_config(8, 1), 5), 5);
  EXPECT_EQ(reduction_groups_of(parallel_config(8, 8), 2), 8);
  EXPECT_THROW(reduction_groups_of(parallel_config(8, 8), 3), ConfigError);
  EXPECT_THROW(reduction_groups_of(parallel_config(2, 1), 3), ConfigError);
}

// A gradient that is not finite on one rank stops all of them, with their weights as they were.
TEST(Ranks, ANumberThatIsNotFiniteStopsAll) {
  const Config c = parallel_config(4, 1);
  std::mutex mutex;
  int stopped = 0;
  run_ranks(2, [&](Communicator& comm) {
    ThreadTeam team(1);
    Session session(c, team, comm);
    session.initialise();
    if (comm.rank() == 1)
      for (const TensorView& t : session.tensors())
        if (t.name == "model.layers.1.self_attn.q_proj.weight")
          reinterpret_cast<float*>(t.bytes.data())[0] = std::nanf("");
    const auto before = state_of(session);
    EXPECT_THROW(session.step(1, own_batches(c, session, 1)), NumericError);
    EXPECT_EQ(state_of(session), before);
    const std::lock_guard lock(mutex);
    ++stopped;
  });
  EXPECT_EQ(stopped, 2);
}

}  // namespace
}  // namespace birkhoff::testing
