#include "engine/data/samples.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "engine/data/permutation.h"

namespace birkhoff {
namespace {

// Row `row` of a batch.
struct Row {
  Row(Batch& batch, int64_t row)
      : begin(row * batch.sequence),
        token(of(batch.token, batch)),
        target(of(batch.target, batch)),
        position(of(batch.position, batch)),
        first_key(of(batch.first_key, batch)) {}

  std::span<int32_t> of(std::vector<int32_t>& all, const Batch& batch) const {
    return std::span(all).subspan(size_t(begin), size_t(batch.sequence));
  }

  int64_t begin;
  std::span<int32_t> token, target, position, first_key;
};

// Fills tokens, targets and positions of a row from the first `length` tokens of the scratch, then
// padding. Tokens attend from the row's start on.
Row fill_row(int64_t row_index, int64_t length, Batch& batch) {
  const Row row(batch, row_index);
  for (int64_t i = 0; i < batch.sequence; ++i) {
    const auto at = size_t(i);
    row.token[at] = i < length ? batch.scratch[at] : 0;
    row.target[at] = i + 1 < length ? batch.scratch[at + 1] : -1;
    row.position[at] = i < length ? int32_t(i) : -1;
    row.first_key[at] = int32_t(i < length ? row.begin : row.begin + i);
  }
  return row;
}

int64_t count_valid(const Row& row) {
  return std::count_if(row.target.begin(), row.target.end(), [](int32_t id) { return id >= 0; });
}

// Windows over some documents of a dataset.
class WindowSamples : public Samples {
 public:
  WindowSamples(std::shared_ptr<const TokenDataset> dataset, Documents documents,
                const SampleOptions& options)
      : Samples(options), dataset_(std::move(dataset)), documents_(std::move(documents)) {}

 protected:
  int64_t tokens() const { return documents_.tokens(); }
  std::string name() const { return printable(dataset_->prefix().string()); }

  void read_window(int64_t window, int64_t row_index, Batch& batch) const {
    const int64_t begin = window * options_.sequence;
    const int64_t length = std::min(options_.sequence + 1, tokens() - begin);
    const auto& begins = documents_.begins;
    size_t d = size_t(std::upper_bound(begins.begin(), begins.end(), begin) - begins.begin()) - 1;
    const size_t first = d;
    for (int64_t at = 0; at < length; ++d) {
      const int64_t in_document = begin + at - begins[d];
      const int64_t taken = std::min(begins[d + 1] - begin - at, length - at);
      dataset_->read(dataset_->begin(documents_.ids[d]) + in_document,
                     std::span(batch.scratch).subspan(size_t(at), size_t(taken)), options_.vocab);
      at += taken;
    }
    const Row row = fill_row(row_index, length, batch);
    for (size_t next = first + 1; next < d; ++next)
      mark_border(row, begins[next] - begin, std::min(begins[next + 1] - begin, length));
    batch.valid += count_valid(row);
    batch.windows[size_t(row_index)] = window;
  }

 private:
  // Marks where a document begins that has the tokens [begin, end) of the window, 0 < begin < end ≤
  // S + 1.
  void mark_border(const Row& row, int64_t begin, int64_t end) const {
    if (!options_.predict_across_documents) row.target[size_t(begin - 1)] = -1;
    if (options_.cross_documents) return;
    for (int64_t i = begin; i < std::min(end, options_.sequence); ++i)
      row.first_key[size_t(i)] = int32_t(row.begin + begin);
  }

  std::shared_ptr<const TokenDataset> dataset_;
  Documents documents_;
};

class TrainingSamples final : public WindowSamples {
 public:
  TrainingSamples(std::shared_ptr<const TokenDataset> dataset, Documents documents,
                  const SampleOptions& options)
      : WindowSamples(std::move(dataset), std::move(documents), options) {
    if (count() < 1)
      throw DataError(
          fmt::format("{}: the training documents have {} tokens, fewer than one sequence of {} + "
                      "1; prepare more text, hold out less, or shorten train.sequence",
                      name(), tokens(), options.sequence));
  }

  int64_t count() const override { return (tokens() - 1) / options_.sequence; }

  void read(int64_t index, int64_t row, Batch& batch) const override {
    const auto epoch = uint64_t(index / count());
    const Permutation order(options_.seed, "data.epoch", epoch, uint64_t(count()));
    read_window(int64_t(order(uint64_t(index % count()))), row, batch);
  }
};

class ValidationSamples final : public WindowSamples {
 public:
  ValidationSamples(std::shared_ptr<const TokenDataset> dataset, Documents documents,
                    const SampleOptions& options)
      : WindowSamples(std::move(dataset), std::move(documents), options) {
    if (tokens() < 2)
      throw DataError(
          fmt::format("{}: the held-out documents have {} tokens, too few to predict one; prepare "
                      "more text or hold out more",
                      name(), tokens()));
  }

  int64_t count() const override {
    return (tokens() - 1 + options_.sequence - 1) / options_.sequence;
  }

  void read(int64_t index, int64_t row, Batch& batch) const override {
    check(index < count(), "held-out window {} of {}", index, count());
    read_window(index, row, batch);
  }
};

class RandomSamples final : public Samples {
 public:
  RandomSamples(const char* stream, int64_t count, const SampleOptions& options)
      : Samples(options),
        count_(count),
        random_(options.seed, fmt::format("data.random.{}", stream)) {}

  int64_t count() const override { return count_; }

  void read(int64_t index, int64_t row_index, Batch& batch) const override {
    const auto length = uint64_t(options_.sequence) + 1;
    for (uint64_t i = 0; i < length; ++i)
      batch.scratch[i] =
          int32_t(random_.below(uint64_t(index) * length + i, uint64_t(options_.vocab)));
    fill_row(row_index, int64_t(length), batch);
    batch.valid += options_.sequence;
    batch.windows[size_t(row_index)] = index;
  }

 private:
  int64_t count_;
  Random random_;
};

}  // namespace

Samples::Samples(const SampleOptions& options) : options_(options) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  check(options.sequence >= 1 && options.sequence < kMost, "a sequence of {}", options.sequence);
  check(options.vocab >= 1 && options.vocab <= kMost, "a vocabulary of {}", options.vocab);
}

void Batch::resize(int64_t new_sequences, int64_t new_sequence) {
  sequences = new_sequences, sequence = new_sequence;
  const auto tokens = size_t(sequences * sequence);
  for (auto* all : {&token, &target, &position, &first_key}) all->resize(tokens);
  windows.resize(size_t(sequences));
  scratch.resize(size_t(sequence) + 1);
}

std::unique_ptr<Samples> training_samples(std::shared_ptr<const TokenDataset> dataset,
                                          Documents documents, const SampleOptions& options) {
  return std::make_unique<TrainingSamples>(std::move(dataset), std::move(documents), options);
}

std::unique_ptr<Samples> validation_samples(std::shared_ptr<const TokenDataset> dataset,
                                            Documents documents, const SampleOptions& options) {
  return std::make_unique<ValidationSamples>(std::move(dataset), std::move(documents), options);
}

std::unique_ptr<Samples> random_samples(const char* stream, int64_t count,
                                        const SampleOptions& options) {
  return std::make_unique<RandomSamples>(stream, count, options);
}

void read_batch(const Samples& samples, int64_t first, int64_t count, int64_t sequences,
                Batch& batch) {
  const int64_t sequence = samples.options().sequence;
  check(first >= 0 && count >= 0 && count <= sequences, "samples [{}, +{}) in {} sequences", first,
        count, sequences);
  check(sequences <= std::numeric_limits<int32_t>::max() / sequence,
        "{} sequences of {} tokens: a batch has at most 2^31 - 1", sequences, sequence);
  batch.resize(sequences, sequence);
  batch.valid = 0;
  for (int64_t row = 0; row < count; ++row) samples.read(first + row, row, batch);
  for (int64_t row = count; row < sequences; ++row) {
    fill_row(row, 0, batch);
    batch.windows[size_t(row)] = -1;
  }
}

}  // namespace birkhoff
