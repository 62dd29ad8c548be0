#pragma once
// Shared by tests of import: the models of tests/golden/hf, an import of one, and its scores.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "engine/train/import_model.h"
#include "engine/train/load_model.h"
#include "engine/train/scorer.h"
#include "tests/support/run_results.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

inline const Path kGolden = BIRKHOFF_SOURCE_DIR "/tests/golden/hf";
inline constexpr double kEpsilon = 0x1p-23;  // of f32

struct Expected {
  std::vector<int32_t> tokens;
  std::vector<double> log_probability;
  double largest = 0;  // |log-probability|
};

// For one of the models; pairs and halves have `log_probability`.
inline Expected expected(const char* model = "log_probability") {
  const auto j = nlohmann::json::parse(slurp(kGolden / "expected.json"));
  Expected e{j["tokens"], j[model]};
  for (const double l : e.log_probability) e.largest = std::max(e.largest, std::abs(l));
  return e;
}

inline Path imported(const Scratch& scratch, const std::string& name, ImportOptions o) {
  o.out = scratch / name;
  return import_model(o).checkpoint;
}

// Log-probability of each token but the first.
inline std::vector<double> log_probabilities(const Path& checkpoint_path,
                                             const std::vector<int32_t>& tokens) {
  const Checkpoint checkpoint = Checkpoint::open(checkpoint_path);
  const Config config = config_of(checkpoint);
  ThreadTeam team(1);
  const auto length = int64_t(tokens.size()) - 1;
  Scorer scorer(config, team, 1, length);
  load_tensors(checkpoint, scorer.tensors());
  Batch batch;
  batch.resize(1, length);
  for (size_t t = 0; t < size_t(length); ++t) {
    batch.token[t] = tokens[t], batch.target[t] = tokens[t + 1];
    batch.position[t] = int32_t(t), batch.first_key[t] = 0;
  }
  std::vector<double> all;
  for (const float nll : scorer.score(batch)) all.push_back(-double(nll));
  return all;
}

inline double worst(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

// Only the tensors of the model.
inline std::map<std::string, std::string> weights_of(const Path& checkpoint) {
  auto all = tensors_of(checkpoint);
  std::erase_if(all, [](const auto& entry) { return entry.first.starts_with("adam_"); });
  return all;
}

// The message of an import that must fail; nothing of it may stay.
template <class E>
std::string refusal(const ImportOptions& o) {
  try {
    import_model(o);
    return "accepted";
  } catch (const E& e) {
    EXPECT_FALSE(std::filesystem::exists(o.out));
    return e.what();
  }
}

}  // namespace birkhoff::testing
