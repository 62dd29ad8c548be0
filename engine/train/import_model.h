#pragma once
// Turns an existing model into a run that starts from it: a run directory with config.yaml and a
// checkpoint of step 0, which holds the model's parameters and balancing biases, its tokenizer, and
// moments that are zero. `birkhoff train` on that config continues at step 1 (docs/import.md).
//
// A plain model may gain residual streams. It stays the same function, for any eps: equal streams
// stay equal while rows of H_res sum to 1. Any other change of the function is refused.
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
  size_t batch_bytes = size_t(1) << 30;       // tensor bytes in memory at a time
  // Called now and then with the bytes of the checkpoint written so far, and with their total.
  std::function<void(size_t done, size_t total)> progress = [](size_t, size_t) {};
};

struct Imported {
  Path checkpoint = {};
  Config config = {};
  int64_t parameters = 0;
  std::string passed_over = "";  // tensors that were left out, as one line; "" if none were
};

// All or nothing. Throws ConfigError (exit code 2), CheckpointError (4: the source), ResourceError
// (5: --out).
Imported import_model(const ImportOptions& options);

// The config that the imported run starts with. Throws ConfigError.
Config import_config(const Config& source, const ImportOptions& options);

// The b_pre of the home residual stream that makes Σ H_pre = 1, when b_pre is `away` on the other
// n − 1: logit(1 − (n − 1)·sigmoid(away)). REQUIRES 2 ≤ n and (n − 1)·sigmoid(away) < 1.
double home_logit(int64_t n, double away);

}  // namespace birkhoff
