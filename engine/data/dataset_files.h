#pragma once
// The files of a dataset as outputs, and what they may replace. A new file is added to this list
// and to that of scripts/tokenize.py. Errors are DataError (exit code 3). Thread-safe: no state.
#include <span>
#include <vector>

#include "base/file_id.h"

namespace birkhoff {

// The files that are written for PREFIX, by their final names. The index is first, because a
// dataset exists when its index does.
std::vector<Path> dataset_files(const Path& prefix);

// Called before anything is read. Throws if a file of PREFIX, or its temporary file, is one of
// `inputs` (paths; "-" is the standard input) by any name or link; if one exists and `overwrite` is
// not set; and, with `overwrite`, if what exists is not a dataset: an index has its magic, a
// manifest is one of ours and has the hash of PREFIX.tokenizer.json, and PREFIX.bin has one of the
// two beside it.
void check_dataset_outputs(const Path& prefix, std::span<const Path> inputs, bool overwrite);

}  // namespace birkhoff
