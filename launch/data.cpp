#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/temporary.h"
#include "engine/data/prepare.h"
#include "launch/commands.h"

namespace birkhoff {
namespace {

// A progress line on stderr, rewritten every second; without a terminal, a new line every ten.
class ProgressLine {
 public:
  ProgressLine() : terminal_(::isatty(2) != 0), next_(Clock::now() + interval()) {}
  ~ProgressLine() {
    if (shown_ && terminal_) std::fputc('\n', stderr);
  }

  void show(const PrepareCounts& counts) {
    if (Clock::now() < next_) return;
    next_ = Clock::now() + interval();
    shown_ = true;
    fmt::print(stderr, "{}{:.1f} MB read, {} documents, {} tokens{}", terminal_ ? "\r" : "",
               double(counts.read) / 1e6, counts.documents, counts.tokens, terminal_ ? "" : "\n");
    std::fflush(stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::seconds interval() const { return std::chrono::seconds(terminal_ ? 1 : 10); }

  bool terminal_, shown_ = false;
  Clock::time_point next_;
};

struct Options {
  PrepareOptions prepare;
  std::string tokenizer = "byte", split = "file";
  bool jsonl = false, text = false;
  Path prefix;
  int64_t documents = 3, vocab = 0;
};

void run_prepare(Options& options) {
  using Format = DocumentOptions::Format;
  using Split = DocumentOptions::Split;
  static const std::map<std::string, Split> kSplits = {{"file", Split::file},
                                                       {"line", Split::line},
                                                       {"blank-line", Split::blank_line},
                                                       {"prefix", Split::prefix}};
  auto& documents = options.prepare.documents;
  documents.format = options.jsonl  ? Format::jsonl
                     : options.text ? Format::text
                                    : Format::automatic;
  documents.split = kSplits.at(options.split);
  if (documents.split == Split::prefix && documents.prefix.empty())
    throw ConfigError(
        "--split prefix also needs --prefix TEXT, the text that lines between documents begin "
        "with");
  const auto tokenizer = make_tokenizer(options.tokenizer);
  remove_temporaries_on_signals();
  PrepareCounts counts;
  {
    ProgressLine line;
    counts =
        prepare(options.prepare, *tokenizer, [&](const PrepareCounts& now) { line.show(now); });
  }
  fmt::print("{}: {} documents, {} tokens of the {} tokenizer, {} bytes of text",
             options.prepare.out.string(), counts.documents, counts.tokens, tokenizer->name(),
             counts.bytes);
  if (counts.empty > 0) fmt::print("; {} empty documents skipped", counts.empty);
  if (counts.bad > 0)
    fmt::print("; {} bad lines skipped, the first: {}", counts.bad, counts.first_bad);
  fmt::print("\n");
  if (counts.documents == 1)
    fmt::print(stderr,
               "birkhoff: note: all text is one document, and whole documents are held out for "
               "validation, so training needs data.validation_fraction: 0; to get several "
               "documents, use --split line, blank-line or prefix\n");
}

void print_lengths(const TokenDataset& dataset) {
  std::array<int64_t, 65> count{};  // documents by the bit width of their length
  for (int64_t d = 0; d < dataset.documents(); ++d)
    ++count[size_t(std::bit_width(uint64_t(dataset.length(d))))];
  const int64_t most = *std::max_element(count.begin(), count.end());
  fmt::print("tokens per document:\n");
  for (size_t bits = 0; bits < count.size(); ++bits) {
    if (count[bits] == 0) continue;
    const uint64_t low = bits == 0 ? 0 : uint64_t(1) << (bits - 1);
    fmt::print("  {:>12} to {:<12} {:>10}  {:#<{}}\n", low, bits == 0 ? 0 : low * 2 - 1,
               count[bits], "", (count[bits] * 40 + most - 1) / most);
  }
}

void print_document(const TokenDataset& dataset, int64_t document, bool bytes) {
  constexpr int64_t kShown = 160;
  std::vector<int32_t> ids(size_t(std::min(dataset.length(document), kShown)));
  dataset.read(dataset.begin(document), ids, int64_t(1) << 31);
  std::string shown;
  if (bytes) {
    shown = fmt::format("\"{}\"", printable(ByteTokenizer().decode(ids)));
  } else {
    ids.resize(std::min<size_t>(ids.size(), 16));
    shown = fmt::format("{}", fmt::join(ids, " "));
  }
  fmt::print("document {}, {} tokens: {}{}\n", document, dataset.length(document), shown,
             int64_t(ids.size()) < dataset.length(document) ? " ..." : "");
}

void run_inspect(const Options& options) {
  const TokenDataset dataset(options.prefix);
  const TokenizerIdentity tokenizer = *dataset.tokenizer().identity;
  fmt::print("{}: {} tokens in {} documents ({} sequences), {}\n", options.prefix.string(),
             dataset.tokens(), dataset.documents(), dataset.sequences(), name_of(dataset.type()));
  if (const auto& manifest = dataset.manifest()) {
    fmt::print("tokenizer {} of {} ids, end of document {}; {} bytes of text\n",
               printable(tokenizer.name), tokenizer.vocab, manifest->tokenizer.end_of_document,
               manifest->bytes);
    if (tokenizer.has_file())
      fmt::print("{}: {} bytes, xxh3-128 {}\n", tokenizer_path(options.prefix).string(),
                 tokenizer.bytes, tokenizer.hash);
  } else {
    fmt::print("no manifest, so the tokenizer is not known\n");
  }
  print_lengths(dataset);
  for (int64_t d = 0; d < std::min(options.documents, dataset.documents()); ++d)
    print_document(dataset, d, is_byte(tokenizer));
}

void run_verify(const Options& options) {
  const VerifyCounts counts = verify(TokenDataset(options.prefix), options.vocab);
  fmt::print("{}: {} tokens in {} documents are valid; {}\n", options.prefix.string(),
             counts.tokens, counts.documents,
             counts.hashes ? "the hashes match the manifest"
                           : "hashes were not checked, because no manifest has them");
}

void add_prepare(CLI::App& data, const std::shared_ptr<Options>& options) {
  auto* command = data.add_subcommand("prepare", "Make a token dataset from text or JSONL files");
  auto& documents = options->prepare.documents;
  command
      ->add_option("--out", options->prepare.out,
                   "prefix of the dataset: PREFIX.bin, PREFIX.idx and PREFIX.json are written")
      ->required();
  command->add_option("files", options->prepare.files, "input files; - reads standard input")
      ->required();
  auto* jsonl = command->add_flag(
      "--jsonl", options->jsonl,
      "read one JSON object per line (default for files named .json, .jsonl or .ndjson)");
  command->add_flag("--text", options->text, "read plain text (default for all other files)")
      ->excludes(jsonl);
  command
      ->add_option("--field", documents.field,
                   "field that holds the text of a JSON object; a.b is field b of the object a, or "
                   "the key \"a.b\"")
      ->capture_default_str();
  command
      ->add_option("--skip-bad", options->prepare.skip_bad,
                   "skip up to this many invalid JSON lines, and report how many")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--split", options->split,
                   "plain text: where a document ends; prefix: at a line that begins with the text "
                   "of --prefix")
      ->check(CLI::IsMember({"file", "line", "blank-line", "prefix"}))
      ->capture_default_str();
  command->add_option("--prefix", documents.prefix,
                      "with --split prefix: lines that begin with this text separate documents");
  command->add_option("--tokenizer", options->tokenizer, "name of a built-in tokenizer")
      ->capture_default_str();
  command->add_flag("--overwrite", options->prepare.overwrite,
                    "replace an existing dataset of that name");
  command->callback([options] { run_prepare(*options); });
}

}  // namespace

void add_data(CLI::App& app) {
  auto* data = app.add_subcommand("data", "Prepare, inspect, verify and split token datasets");
  data->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  add_prepare(*data, options);

  add_data_split(*data);

  auto* inspect = data->add_subcommand("inspect", "Print the contents of a token dataset");
  inspect->add_option("prefix", options->prefix, "path of the dataset, without .bin and .idx")
      ->required();
  inspect->add_option("--documents", options->documents, "number of documents to print")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  inspect->callback([options] { run_inspect(*options); });

  auto* verify = data->add_subcommand("verify", "Read a whole token dataset and check it");
  verify->add_option("prefix", options->prefix, "path of the dataset, without .bin and .idx")
      ->required();
  verify
      ->add_option("--vocab", options->vocab,
                   "check that every token id is below this number (default: the vocabulary in the "
                   "manifest)")
      ->check(CLI::PositiveNumber);
  verify->callback([options] { run_verify(*options); });
}

}  // namespace birkhoff
