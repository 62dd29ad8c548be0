// The text that identifies a model in checkpoints, which must not change for older models.
#include <gmock/gmock.h>

#include "engine/config/load.h"
#include "engine/train/training_data.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Word for word as in the first checkpoints.
TEST(ModelFingerprint, OfAModelOfBeforeIsWhatItWas) {
  EXPECT_EQ(model_fingerprint(Config()),
            "model.vocab=257\nmodel.dim=128\nmodel.layers=8\nmodel.dense_layers=1\nmodel.heads=4\n"
            "model.nope_dim=32\nmodel.rope_dim=16\nmodel.v_dim=32\nmodel.kv_rank=64\n"
            "model.rope_theta=10000\nmodel.dense_ffn_dim=0\nmodel.norm_eps=1e-20\n"
            "model.kv_norm_eps=1e-20\nmodel.residual=mhc\nmodel.streams=4\nmodel.hc=dynamic\n"
            "model.sinkhorn=paper\nmodel.sinkhorn_iterations=20\nmodel.readout=sum\nmoe.experts=8\n"
            "moe.active=2\nmoe.shared=1\nmoe.expert_dim=64\nmoe.scaling=1\nmoe.normalise=true\n");
}

TEST(ModelFingerprint, HasLaterKeysWhereTheyAreUsed) {
  Config c;
  c.model.q_rank = 24;
  EXPECT_THAT(model_fingerprint(c), HasSubstr("model.q_rank=24\n"));
  EXPECT_THAT(model_fingerprint(c), Not(HasSubstr("rope_scaling")));
  c.model.rope_scaling = RopeScaling::yarn, c.model.rope_factor = 40;
  EXPECT_THAT(model_fingerprint(c), HasSubstr("model.rope_scaling=yarn\nmodel.rope_factor=40\n"));
}

// The config in an old checkpoint lacks the later keys: it is the same model.
TEST(ModelFingerprint, OfAConfigWithoutTheLaterKeys) {
  std::string old;
  const std::string text = effective_yaml(Config());
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at) + 1;
    const std::string line = text.substr(at, end - at);
    const bool later = line.starts_with("  q_rank:") ||
                       (line.starts_with("  rope_") && !line.starts_with("  rope_dim:") &&
                        !line.starts_with("  rope_theta:"));
    if (!later) old += line;
    at = end;
  }
  EXPECT_EQ(old.find("rope_scaling"), old.npos);
  EXPECT_EQ(parse_config(old, "old"), Config());
}

}  // namespace
}  // namespace birkhoff
