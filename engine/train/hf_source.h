#pragma once
// A Hugging Face directory of a DeepseekV3 model as the source of an import (docs/import.md).
#include <memory>

#include "engine/train/import_source.h"

namespace birkhoff {

// REQUIRES a config.json in `path`. Reads that file and headers. Throws CheckpointError (exit code
// 4) for what is damaged, ConfigError (2) for what is not supported.
std::unique_ptr<ImportSource> open_hf_source(const Path& path);

}  // namespace birkhoff
