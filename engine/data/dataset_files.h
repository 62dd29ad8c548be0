#pragma once
// The files of a dataset as outputs: what they may replace. This list and that of
// scripts/tokenize.py are the places to add a file to. Errors are DataError (exit code 3).
// Thread-safe: no state.
#include <span>
#include <vector>

#include "base/file_id.h"

namespace birkhoff {

// What is written for PREFIX, by its final names: the index first, for a dataset exists when its
// index does.
std::vector<Path> dataset_files(const Path& prefix);

// Called before anything is read. Throws if a file of PREFIX, or what it is written to first, is
// one of `inputs` (paths; "-" is the standard input) by any name or link; if one exists, unless
// `overwrite`; and then if what exists is not a dataset: an index has its magic, a manifest is one
// of ours and has the hash of PREFIX.tokenizer.json, PREFIX.bin stands beside one of the two.
void check_dataset_outputs(const Path& prefix, std::span<const Path> inputs, bool overwrite);

}  // namespace birkhoff
