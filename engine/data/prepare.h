#pragma once
// The work of `birkhoff data`: prepare makes a token dataset from text, verify checks a whole
// dataset, write_text restores the text. Errors are DataError (exit code 3). Stateless.
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
  int64_t skip_bad = 0;  // up to this many bad lines of JSON are skipped
};

struct PrepareCounts {
  int64_t read = 0;  // bytes of input
  int64_t documents = 0, tokens = 0;
  int64_t bytes = 0;           // of text
  int64_t empty = 0;           // documents left out because they have no bytes
  int64_t bad = 0;             // lines skipped because they are bad
  std::string first_bad = {};  // what is wrong with the first of them
};

// Each document that is not empty becomes its tokens and the end-of-document token. `progress` may
// be null; it is called about once per MiB of input. A failure leaves no dataset behind. Throws
// before it reads if the outputs are refused (dataset_files.h).
PrepareCounts prepare(const PrepareOptions& options, const Tokenizer& tokenizer,
                      const std::function<void(const PrepareCounts&)>& progress);

struct VerifyCounts {
  int64_t tokens = 0, documents = 0;
  bool hashes = false;  // the manifest has hashes, and they match
};

// Reads everything, and checks the hashes of the manifest, PREFIX.tokenizer.json, each id against
// `vocab` (0: the manifest's, or 2^31 without a manifest), and, if there is a manifest, that its
// end-of-document token ends each document and occurs nowhere else. Throws on the first fault,
// naming the file.
VerifyCounts verify(const TokenDataset& dataset, int64_t vocab);

// Passes the text of some documents of the dataset to `sink`, one document per call, each followed
// by a line end. Throws DataError on ids that are not the tokenizer's.
void write_text(const TokenDataset& dataset, const Documents& documents, const Tokenizer& tokenizer,
                const std::function<void(std::string_view text)>& sink);

}  // namespace birkhoff
