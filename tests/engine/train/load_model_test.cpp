// A checkpoint's config is compared with its tensors before anything is planned or allocated.
#include "engine/train/load_model.h"

#include <gmock/gmock.h>

#include "engine/checkpoint/manifest.h"
#include "engine/config/load.h"
#include "engine/train/import_model.h"
#include "tests/support/run_results.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ConfigOfACheckpoint : public ::testing::Test {
 protected:
  ConfigOfACheckpoint() {
    import_model({.source = BIRKHOFF_SOURCE_DIR "/tests/golden/hf/pairs", .out = scratch_ / "run"});
    path_ = scratch_ / "run/checkpoints/step-00000000";
    original_ = parse_manifest(slurp(path_ / kManifestName), "m");
  }

  void write(const Manifest& manifest) { spill(path_ / kManifestName, manifest_text(manifest)); }

  // The refusal after some keys of the config text were changed and its hashes were recomputed.
  std::string refusal(const std::vector<std::string>& overrides) {
    Manifest changed = original_;
    changed.info.config = effective_yaml(parse_config(original_.info.config, "c", overrides));
    write(changed);
    return refusal();
  }
  std::string refusal() {
    try {
      config_of(Checkpoint::open(path_));
    } catch (const CheckpointError& e) {
      return e.what();
    }
    return "accepted";
  }

  const Scratch scratch_;
  Path path_;
  Manifest original_;
};

TEST_F(ConfigOfACheckpoint, IsTakenWhereTensorsFit) {
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal({"train.sequence=77", "model.norm_eps=1e-3"}), "accepted");
}

TEST_F(ConfigOfACheckpoint, OfAnotherSizeIsRefusedByName) {
  const Config own = parse_config(original_.info.config, "c");
  EXPECT_THAT(refusal({fmt::format("model.v_dim={}", own.model.v_dim + 1)}),
              AllOf(HasSubstr("config needs"), HasSubstr("belong to different models")));
  EXPECT_THAT(refusal({fmt::format("model.layers={}", own.model.layers - 1)}),
              HasSubstr("which the model of its config does not have"));
  EXPECT_THAT(refusal({fmt::format("moe.experts={}", own.moe.experts + 1)}),
              HasSubstr("belong to different models"));
}

// Without the bound by arithmetic, tracing these would take minutes and gigabytes: 806 million
// tensors.
TEST_F(ConfigOfACheckpoint, OfAHugeModelIsRefusedBeforeItIsTraced) {
  EXPECT_THAT(refusal({"model.layers=4096", "moe.experts=65536"}),
              HasSubstr("its config describes a model of 80"));
  EXPECT_THAT(refusal({"model.layers=4096", "model.dense_layers=4096", "model.dim=65536"}),
              HasSubstr("its config describes a model of 409"));
}

}  // namespace
}  // namespace birkhoff::testing
