// The committed configs, the effective dump, and the documentation made from the list of fields.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "base/format.h"
#include "engine/config/fields.h"
#include "engine/config/load.h"
#include "engine/config/reference.h"

namespace birkhoff {
namespace {

const Path kRoot = BIRKHOFF_SOURCE_DIR;

std::vector<Path> committed() {
  std::vector<Path> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / "configs"))
    if (entry.path().extension() == ".yaml") out.push_back(entry.path());
  return out;
}

TEST(Configs, EveryCommittedOneLoadsAndItsDumpLoadsBack) {
  EXPECT_GE(committed().size(), 15u);
  for (const Path& path : committed()) {
    const Config config = load_config(path);
    // common/ holds fragments, which need not fit the other defaults.
    if (path.parent_path().filename() != "common") {
      EXPECT_EQ(validate(config), std::vector<std::string>()) << path;
    }
    const std::string dump = effective_yaml(config);
    EXPECT_EQ(parse_config(dump, "dump"), config) << path;
    EXPECT_EQ(effective_yaml(parse_config(dump, "dump")), dump);
  }
}

TEST(Configs, TinyMayBeTrainedAndIsWhatItPromises) {
  const Config c = load_config(kRoot / "configs/tiny.yaml", {}, Use::training);
  EXPECT_GE(c.model.layers, 8);
  EXPECT_EQ(c.model.dense_layers, 1);
  EXPECT_GE(c.model.dim, 128);
  EXPECT_GE(c.model.heads, 4);
  EXPECT_GE(c.moe.experts, 8);
  EXPECT_EQ(c.moe.active, 2);
  EXPECT_EQ(c.moe.shared, 1);
  EXPECT_EQ(c.model.streams, 4);
  EXPECT_EQ(c.model.residual, ResidualKind::mhc);
  EXPECT_GE(c.train.sequence, 256);
  EXPECT_EQ(c.model.vocab, 257);
  EXPECT_EQ(c.model.norm_eps, 1e-20);
}

// arXiv 2512.24880, Table 5.
struct Row {
  const char* name;
  int64_t layers, dim, heads, experts, expert_dim, batch, steps;
  double lr;
};

// What all of them share.
ModelConfig big_model() {
  return ModelConfig{.vocab = 129280,
                     .dim = 0,
                     .layers = 0,
                     .dense_layers = 1,
                     .heads = 0,
                     .nope_dim = 128,
                     .rope_dim = 64,
                     .v_dim = 128,
                     .kv_rank = 512,
                     .rope_theta = 10000,
                     .dense_ffn_dim = 0,
                     .norm_eps = 1e-20,
                     .kv_norm_eps = 1e-20,
                     .residual = ResidualKind::mhc,
                     .streams = 4,
                     .hc = HcKind::dynamic,
                     .sinkhorn = SinkhornKind::paper,
                     .sinkhorn_iterations = 20,
                     .readout = ReadoutKind::sum,
                     .init_std = 0.006,
                     .alpha_init = 0.01};
}

OptimConfig big_optim(double lr) {
  return OptimConfig{.lr = lr,
                     .beta1 = 0.9,
                     .beta2 = 0.95,
                     .eps = 1e-20,
                     .weight_decay = 0.1,
                     .weight_decay_embedding = 0.1,
                     .weight_decay_phi = 0.1,
                     .weight_decay_static = 0,
                     .weight_decay_norm = 0,
                     .clip_norm = 1,
                     .schedule = LrSchedule::step,
                     .warmup_steps = 2000,
                     .step_points = {0.8, 0.9},
                     .step_factors = {0.316, 0.1},
                     .min_lr_fraction = 0.1,
                     .decay_fraction = 0.2};
}

TEST(Configs, TheBigOnesAreThePapers) {
  for (const Row& row : {Row{"3b", 12, 1280, 16, 64, 896, 320, 30000, 8.6e-4},
                         {"9b", 18, 1920, 24, 64, 1280, 512, 50000, 5.9e-4},
                         {"27b", 30, 2560, 32, 72, 1536, 1280, 50000, 4.0e-4},
                         {"3b-1t", 12, 1280, 16, 64, 896, 2560, 100000, 9.0e-4}}) {
    SCOPED_TRACE(row.name);
    const Config c = load_config(kRoot / fmt::format("configs/{}.yaml", row.name));
    EXPECT_EQ(c.model.layers, row.layers);
    EXPECT_EQ(c.model.dim, row.dim);
    EXPECT_EQ(c.model.heads, row.heads);
    EXPECT_EQ(c.moe.experts, row.experts);
    EXPECT_EQ(c.moe.expert_dim, row.expert_dim);
    EXPECT_EQ(dense_ffn_width(c), 8 * row.expert_dim);
    EXPECT_EQ(c.train.global_batch, row.batch);
    EXPECT_EQ(c.train.steps, row.steps);
    EXPECT_EQ(c.optim.lr, row.lr);
    ModelConfig model = c.model;
    model.dim = model.layers = model.heads = 0;
    EXPECT_EQ(model, big_model());
    EXPECT_EQ(c.moe.active, 6);
    EXPECT_EQ(c.moe.shared, 2);
    EXPECT_EQ(c.moe.scaling, 1.0);
    EXPECT_EQ(c.moe.bias_speed, 1e-3);
    EXPECT_EQ(c.train.sequence, 4096);
    EXPECT_EQ(c.train.precision, Precision::bf16);
    EXPECT_EQ(c.optim, big_optim(row.lr));
    for (const auto residual : {ResidualKind::plain, ResidualKind::hc}) {
      const std::string what = residual == ResidualKind::hc ? "-hc" : "-plain";
      Config baseline = c;
      baseline.model.residual = residual;
      baseline.run.dir += what;
      EXPECT_EQ(load_config(kRoot / fmt::format("configs/{}{}.yaml", row.name, what)), baseline);
    }
  }
}

// Sets each kind of field to a random value, which the test writes itself, not value_text().
struct Randomise {
  std::mt19937_64& random;
  double real(double min, double max) {
    return min + (max - min) * (static_cast<double>(random() >> 12) + 0.5) * 0x1p-52;
  }
  void operator()(Flag& t) { *t.at = random() % 2; }
  void operator()(Unsigned& t) { *t.at = random(); }
  void operator()(Integer& t) {
    if (!t.words.empty() && random() % 2)
      *t.at = t.words[random() % t.words.size()].value;
    else
      *t.at = t.min + static_cast<int64_t>(random() % static_cast<uint64_t>(t.max - t.min + 1));
  }
  void operator()(Real& t) { *t.at = real(t.min, t.max) * (random() % 2 ? 1 : 1e-12); }
  void operator()(Reals& t) {
    t.at->resize(random() % 5);
    for (double& value : *t.at) value = real(t.min, t.max);
  }
  void operator()(Text& t) {
    static const char* const kParts[] = {"a", " ", "\"", "\\", "'", "#", ": ",
                                         "é", "{", "- ", "~",  "%", "0"};
    t.at->clear();
    for (uint64_t n = random() % 9; n > 0; --n) *t.at += kParts[random() % std::size(kParts)];
  }
  void operator()(Allowed& t) {
    t.at->all = random() % 3 == 0;
    t.at->keys.clear();
    if (!t.at->all && random() % 2) t.at->keys = {"optim.lr", "data.path"};
  }
  void operator()(OneOf& t) { t.set(random() % t.names.size()); }
};

TEST(EffectiveYaml, RoundTripsEveryBit) {
  std::mt19937_64 random(11);
  int legal = 0;
  for (int trial = 0; trial < 300; ++trial) {
    Config config;
    for (Field& field : fields_of(config)) {
      const Config before = config;
      std::visit(Randomise{random}, field.target);
      if (range_fault(field)) config = before;  // a tiny real below its range
      for (const Finding& f : findings(config))
        if (f.severity == Severity::error) config = before;
    }
    const std::string dump = effective_yaml(config);
    EXPECT_EQ(parse_config(dump, "dump"), config) << dump;
    EXPECT_EQ(effective_yaml(config), dump);
    legal += config != Config();
  }
  EXPECT_EQ(legal, 300);
}

TEST(Configs, DefaultsDoNotWarnAboutThemselves) {
  Config config;
  config.data.path = "d";
  EXPECT_TRUE(validate(config, Use::training).empty());
}

TEST(EffectiveYaml, HasEveryKeyOnce) {
  EXPECT_TRUE(effective_yaml(Config()).starts_with(
      "seed: 1\ndevice: auto\nrun:\n  dir: \"runs/tiny\"\n  resume: auto\n  allow_changes: "
      "false\n  timeout: 0\n  threads: 0\ndata:\n"));
  Config config;
  const std::string dump = effective_yaml(config);
  EXPECT_EQ(static_cast<size_t>(std::count(dump.begin(), dump.end(), '\n')),
            fields_of(config).size() + config_sections().size() - 1);
}

TEST(Fields, HaveUniqueKeysAndTheStableNames) {
  Config config;
  std::set<std::string> keys;
  for (const Field& field : fields_of(config)) {
    EXPECT_TRUE(keys.insert(field.key).second) << field.key;
    EXPECT_FALSE(field.help.empty()) << field.key;
  }
  for (const char* key : {"seed",
                          "device",
                          "run.dir",
                          "run.resume",
                          "data.source",
                          "model.residual",
                          "model.streams",
                          "model.hc",
                          "model.layers",
                          "model.sinkhorn",
                          "model.readout",
                          "model.kv_norm_eps",
                          "moe.buffer_factor",
                          "train.steps",
                          "train.stop_at",
                          "train.recompute",
                          "train.global_batch",
                          "train.micro_batch",
                          "train.sequence",
                          "train.reduction_groups",
                          "train.precision",
                          "optim.lr",
                          "optim.eps",
                          "checkpoint.on_error",
                          "parallel.chunks",
                          "parallel.pp",
                          "parallel.tp",
                          "parallel.ep",
                          "parallel.zero",
                          "parallel.schedule"})
    EXPECT_TRUE(keys.contains(key)) << key;
}

// Catches two fields that share a member by mistake: changing one through its field changes exactly
// one line of the dump.
TEST(Fields, EachPointsAtAMemberOfItsOwn) {
  Config config;
  std::set<const void*> members;
  for (const Field& field : fields_of(config))
    std::visit(
        [&](const auto& target) {
          if constexpr (requires { target.at; }) {
            EXPECT_TRUE(members.insert(target.at).second) << field.key;
          }
        },
        field.target);
  const std::string before = effective_yaml(config);
  std::vector<Field> fields = fields_of(config);
  for (const Field& field : fields)
    if (const auto* choice = std::get_if<OneOf>(&field.target)) {
      const size_t old = choice->get();
      choice->set((old + 1) % choice->names.size());
      const std::string line =
          fmt::format("{}: {}\n", field.leaf(), choice->names[(old + 1) % choice->names.size()]);
      EXPECT_NE(effective_yaml(config).find(line), std::string::npos) << field.key;
      choice->set(old);
      EXPECT_EQ(effective_yaml(config), before);
    }
}

TEST(Docs, HelpNamesEveryKeyWithDefaultAndMeaning) {
  const std::string help = help_text();
  Config config;
  for (const Field& field : fields_of(config)) {
    EXPECT_NE(help.find(fmt::format("  {} = {}\n", field.key, value_text(field))),
              std::string::npos);
    EXPECT_NE(help.find(expects(field)), std::string::npos);
  }
}

TEST(Docs, ConfigMdIsUpToDate) {
  const Path path = kRoot / "docs/config.md";
  if (std::getenv("BIRKHOFF_REGENERATE")) write_file(path, markdown_reference());
  EXPECT_EQ(read_file(path, 1 << 20), markdown_reference())
      << "regenerate it: BIRKHOFF_REGENERATE=1 build/release/tests/test_config "
         "--gtest_filter='Docs.*'";
}

}  // namespace
}  // namespace birkhoff
