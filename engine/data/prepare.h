#pragma once
// What `birkhoff data` does: prepare makes a token dataset of text, verify checks one as a whole,
// write_text gives the text back.
// Errors are DataError (exit code 3). Stateless.
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/data/documents.h"
#include "engine/data/split.h"
#include "engine/data/token_dataset.h"
#include "engine/data/tokenizer.h"

namespace birkhoff {

struct PrepareOptions {
  Path out = {};                 // the prefix of the dataset
  std::vector<Path> files = {};  // in this order; "-" is the standard input
  DocumentOptions documents = {};
  bool overwrite = false;
  int64_t skip_bad = 0;  // this many lines of JSON that are wrong are left out
};

struct PrepareCounts {
  int64_t read = 0;  // bytes of input
  int64_t documents = 0, tokens = 0;
  int64_t bytes = 0;           // of text
  int64_t empty = 0;           // documents left out because they have no bytes
  int64_t bad = 0;             // lines left out because they are wrong
  std::string first_bad = {};  // what is wrong with the first of them
};

// Each document that is not empty becomes its tokens and the end-of-document token. `progress` may
// be null; it is called about once a MiB of input. A failure leaves no dataset behind. Throws
// before it reads if the outputs are refused (dataset_files.h).
PrepareCounts prepare(const PrepareOptions& options, const Tokenizer& tokenizer,
                      const std::function<void(const PrepareCounts&)>& progress);

struct VerifyCounts {
  int64_t tokens = 0, documents = 0;
  bool hashes = false;  // the manifest gave them, and they are right
};

// Reads everything: the hashes of the manifest, PREFIX.tokenizer.json, each id against `vocab` (0:
// that of the manifest, or 2^31 if there is none), and that each document ends with the
// end-of-document token, only with it, where the manifest names one. Throws on the first thing that
// is wrong, naming the file.
VerifyCounts verify(const TokenDataset& dataset, int64_t vocab);

// The text of some documents of the dataset, each followed by a line end, a document a call. Throws
// DataError on ids that are not the tokenizer's.
void write_text(const TokenDataset& dataset, const Documents& documents, const Tokenizer& tokenizer,
                const std::function<void(std::string_view text)>& sink);

}  // namespace birkhoff
