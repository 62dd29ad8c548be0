#pragma once
// From a model that exists to a run that starts from it: a run directory with config.yaml and a
// checkpoint of step 0, which holds the model's parameters and balancing biases, its tokenizer, and
// moments that are zero. `birkhoff train` on that config goes on at step 1 (docs/import.md).
//
// A plain model may gain streams: it is then the same function at once, for any eps: equal streams
// stay equal while rows of H_res sum to 1. What else would change the function is refused.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "engine/config/config.h"

namespace birkhoff {

struct ImportOptions {
  Path source = {};                           // see open_import_source
  Path out = {};                              // a run directory that must not exist yet
  std::optional<ResidualKind> residual = {};  // none: the source's
  std::vector<std::string> overrides = {};    // key=value
  size_t batch_bytes = size_t(1) << 30;       // of tensors that are in memory together
  // Told now and then: bytes of the checkpoint that are written, of so many.
  std::function<void(size_t done, size_t total)> progress = [](size_t, size_t) {};
};

struct Imported {
  Path checkpoint = {};
  Config config = {};
  int64_t parameters = 0;
  std::string passed_over = "";  // tensors that were left out, as one line; "" if there were none
};

// All or nothing. Throws ConfigError (exit code 2), CheckpointError (4: the source), ResourceError
// (5: --out).
Imported import_model(const ImportOptions& options);

// The config that the imported run starts with. Throws ConfigError.
Config import_config(const Config& source, const ImportOptions& options);

// b_pre of the home stream with which Σ H_pre = 1, where it is `away` on the other n − 1 streams:
// logit(1 − (n − 1)·sigmoid(away)). REQUIRES 2 ≤ n and (n − 1)·sigmoid(away) < 1.
double home_logit(int64_t n, double away);

}  // namespace birkhoff
