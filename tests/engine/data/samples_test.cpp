#include "engine/data/samples.h"

#include <gmock/gmock.h>

#include <random>
#include <set>

#include "engine/data/source.h"
#include "tests/engine/data/files.h"

namespace birkhoff::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kVocab = int64_t(1) << 30;

std::shared_ptr<const TokenDataset> counting(const Scratch& dir,
                                             const std::vector<int64_t>& lengths) {
  write_counting(dir / "d", lengths);
  return std::make_shared<const TokenDataset>(dir / "d");
}

Batch batch_of(const Samples& samples, int64_t first, int64_t count, int64_t sequences) {
  Batch batch;
  read_batch(samples, first, count, sequences, batch);
  return batch;
}

std::vector<int64_t> random_lengths(uint64_t seed, int documents, int most) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> lengths;
  for (int i = 0; i < documents; ++i) lengths.push_back(int64_t(random() % uint64_t(most)));
  return lengths;
}

TEST(Split, DocumentsAreOnOneSideAndNoneIsLost) {
  for (const double fraction : {0.001, 0.05, 0.3, 0.5, 0.9, 0.999}) {
    for (const int documents : {2, 3, 17, 400}) {
      const Scratch dir;
      auto lengths = random_lengths(uint64_t(documents), documents, 90);
      lengths[0] = 40, lengths[1] = 1;  // the others may be empty
      const auto dataset = counting(dir, lengths);
      const Split split = split_documents(*dataset, fraction, 7);
      std::set<int64_t> seen;
      for (const Documents* side : {&split.train, &split.validation}) {
        EXPECT_FALSE(side->ids.empty());
        EXPECT_TRUE(std::is_sorted(side->ids.begin(), side->ids.end()));
        int64_t tokens = 0;
        for (size_t i = 0; i < side->ids.size(); ++i) {
          EXPECT_TRUE(seen.insert(side->ids[i]).second) << "on both sides: " << side->ids[i];
          EXPECT_EQ(side->begins[i], tokens);
          tokens += dataset->length(side->ids[i]);
        }
        EXPECT_EQ(side->tokens(), tokens);
      }
      EXPECT_EQ(split.train.tokens() + split.validation.tokens(), dataset->tokens());
      // No document that could be added brings the sum nearer by more than its own length.
      if (documents == 400) {
        EXPECT_NEAR(double(split.validation.tokens()), fraction * double(dataset->tokens()), 45);
      }
    }
  }
}

TEST(Split, DependsOnTheSeed) {
  const Scratch dir;
  const auto dataset = counting(dir, random_lengths(1, 100, 50));
  EXPECT_EQ(split_documents(*dataset, 0.2, 1).validation.ids,
            split_documents(*dataset, 0.2, 1).validation.ids);
  EXPECT_NE(split_documents(*dataset, 0.2, 1).validation.ids,
            split_documents(*dataset, 0.2, 2).validation.ids);
}

TEST(Split, OneDocumentCannotBeDivided) {
  const Scratch dir;
  const auto dataset = counting(dir, {100, 0, 0});
  EXPECT_THAT(data_error([&] { split_documents(*dataset, 0.1, 1); }), HasSubstr("--split"));
  EXPECT_EQ(split_documents(*dataset, 0, 1).train.tokens(), 100);
}

// Tokens count from 0, so the targets of an epoch are 1 … W·S, each once: no window is missing,
// doubled or shifted.
TEST(TrainingSamples, AnEpochPredictsEachTokenOnce) {
  for (const int64_t sequence : {1, 2, 7, 64, 499}) {
    const Scratch dir;
    const auto dataset = counting(dir, {100, 1, 0, 300, 99});
    const Split split = split_documents(*dataset, 0, 1);
    const auto samples =
        training_samples(dataset, split.train, {.sequence = sequence, .vocab = kVocab, .seed = 3});
    ASSERT_EQ(samples->count(), 499 / sequence);
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      const Batch batch =
          batch_of(*samples, epoch * samples->count(), samples->count(), samples->count());
      std::vector<int32_t> targets = batch.target, expected;
      for (size_t i = 0; i < targets.size(); ++i) {
        EXPECT_EQ(batch.token[i] + 1, batch.target[i]);
        EXPECT_EQ(batch.position[i], int32_t(int64_t(i) % sequence));
        expected.push_back(int32_t(i) + 1);
      }
      std::sort(targets.begin(), targets.end());
      EXPECT_EQ(targets, expected) << "sequence " << sequence << ", epoch " << epoch;
      EXPECT_EQ(batch.valid, int64_t(targets.size()));
      for (int64_t row = 0; row < samples->count(); ++row)
        EXPECT_EQ(batch.token[size_t(row * sequence)], batch.windows[size_t(row)] * sequence);
    }
  }
}

TEST(TrainingSamples, EpochsDifferInOrder) {
  const Scratch dir;
  const auto dataset = counting(dir, {500, 501});
  const auto samples = training_samples(dataset, split_documents(*dataset, 0, 1).train,
                                        {.sequence = 10, .vocab = kVocab, .seed = 3});
  const auto epoch = [&](int64_t e) { return batch_of(*samples, e * 100, 100, 100).windows; };
  EXPECT_NE(epoch(0), epoch(1));
  EXPECT_NE(epoch(1), epoch(2));
  EXPECT_NE(epoch(0), epoch(2));
  EXPECT_FALSE(std::is_sorted(epoch(0).begin(), epoch(0).end()));
}

TEST(Samples, TrainingNeverSeesAHeldOutToken) {
  const Scratch dir;
  const auto dataset = counting(dir, random_lengths(5, 60, 200));
  const DataSource data = open_data({.path = dir / "d",
                                     .validation_fraction = 0.25,
                                     .samples = {.sequence = 32, .vocab = kVocab, .seed = 11}});
  const auto seen = [](const Samples& samples) {
    const Batch batch = batch_of(samples, 0, samples.count(), samples.count());
    std::set<int32_t> ids(batch.target.begin(), batch.target.end());
    for (size_t i = 0; i < batch.token.size(); ++i)
      if (batch.target[i] >= 0) ids.insert(batch.token[i]);
    ids.erase(-1);
    return ids;
  };
  const auto train = seen(*data.training), held_out = seen(*data.validation);
  for (const int32_t id : held_out) EXPECT_FALSE(train.contains(id)) << "token " << id;
  for (const int64_t d : data.split.validation.ids)
    for (int64_t i = dataset->begin(d); i < dataset->begin(d + 1); ++i)
      EXPECT_FALSE(train.contains(int32_t(i))) << "token " << i << " of document " << d;
  // All held-out tokens are read, and all training tokens but the rest of the last window.
  EXPECT_EQ(int64_t(held_out.size()), data.split.validation.tokens());
  EXPECT_GT(int64_t(train.size()), data.split.train.tokens() - 32);
}

TEST(ValidationSamples, AreInOrderAndTheLastIsFilledUp) {
  const Scratch dir;
  const auto dataset = counting(dir, {5, 3});
  const auto samples = validation_samples(dataset, split_documents(*dataset, 0, 1).train,
                                          {.sequence = 3, .vocab = kVocab});
  ASSERT_EQ(samples->count(), 3);
  const Batch batch = batch_of(*samples, 0, 3, 4);
  EXPECT_THAT(batch.token, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0));
  EXPECT_THAT(batch.target, ElementsAre(1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1, -1));
  EXPECT_THAT(batch.position, ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, -1, -1, -1, -1));
  EXPECT_THAT(batch.first_key, ElementsAre(0, 0, 0, 3, 3, 3, 6, 6, 8, 9, 10, 11));
  EXPECT_THAT(batch.windows, ElementsAre(0, 1, 2, -1));
  EXPECT_EQ(batch.valid, 7);
}

// Wherever documents begin in the last window, its padding keeps the rules of attention
// (kernels/attention.h): first keys do not decrease within a sequence, and none is a later row.
TEST(ValidationSamples, PaddingBehindBordersIsValid) {
  int padded = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Scratch dir;
    const auto dataset = counting(dir, random_lengths(seed, 6, 9));
    if (dataset->tokens() < 2) continue;
    for (const int64_t sequence : {4, 7, 16}) {
      const auto samples =
          validation_samples(dataset, split_documents(*dataset, 0, 1).train,
                             {.sequence = sequence, .vocab = kVocab, .cross_documents = false});
      const Batch batch = batch_of(*samples, 0, samples->count(), samples->count() + 1);
      int64_t tokens = 0;
      for (size_t i = 0; i < batch.token.size(); ++i) {
        const bool starts = int64_t(i) % sequence == 0;
        const bool padding = batch.position[i] < 0;
        padded += padding;
        tokens += !padding;
        ASSERT_LE(batch.first_key[i], int32_t(i));
        ASSERT_GE(batch.first_key[i],
                  starts ? int32_t(int64_t(i) / sequence * sequence) : batch.first_key[i - 1]);
        if (padding) {
          ASSERT_TRUE(batch.target[i] == -1 && batch.first_key[i] == int32_t(i));
        } else {
          ASSERT_TRUE(starts || batch.position[i - 1] >= 0) << "a token behind padding";
        }
      }
      // Every token is read once, except the last one if a window ends with it as a target.
      ASSERT_EQ(tokens, dataset->tokens() - ((dataset->tokens() - 1) % sequence == 0));
    }
  }
  EXPECT_GT(padded, 0);
}

// Documents 0 1 2 | 3 | 4 5 6 7 8, windows of 4 (+ 1) tokens, by hand.
TEST(Samples, BordersOfDocuments) {
  const Scratch dir;
  const auto dataset = counting(dir, {3, 1, 0, 5});
  const auto batch = [&](bool cross, bool predict) {
    const auto samples = validation_samples(dataset, split_documents(*dataset, 0, 1).train,
                                            {.sequence = 4,
                                             .vocab = kVocab,
                                             .cross_documents = cross,
                                             .predict_across_documents = predict});
    return batch_of(*samples, 0, 2, 2);
  };
  for (const bool predict : {false, true}) {
    EXPECT_THAT(batch(true, predict).first_key, ElementsAre(0, 0, 0, 0, 4, 4, 4, 4));
    EXPECT_THAT(batch(false, predict).first_key, ElementsAre(0, 0, 0, 3, 4, 4, 4, 4));
    EXPECT_THAT(batch(false, predict).position, ElementsAre(0, 1, 2, 3, 0, 1, 2, 3));
  }
  for (const bool cross : {false, true}) {
    EXPECT_THAT(batch(cross, true).target, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
    EXPECT_THAT(batch(cross, false).target, ElementsAre(1, 2, -1, -1, 5, 6, 7, 8));
    EXPECT_EQ(batch(cross, true).valid, 8);
    EXPECT_EQ(batch(cross, false).valid, 6);
  }
}

// first_key and targets against a token-by-token definition.
TEST(Samples, BordersAgreeWithABruteForce) {
  const Scratch dir;
  const auto lengths = random_lengths(9, 120, 9);
  const auto dataset = counting(dir, lengths);
  std::vector<int64_t> document_of, begin_of;
  for (size_t d = 0; d < lengths.size(); ++d)
    for (int64_t i = 0, begin = int64_t(document_of.size()); i < lengths[d]; ++i)
      document_of.push_back(int64_t(d)), begin_of.push_back(begin);
  for (const int64_t sequence : {1, 2, 13, 32}) {
    const auto samples = training_samples(dataset, split_documents(*dataset, 0, 1).train,
                                          {.sequence = sequence,
                                           .vocab = kVocab,
                                           .cross_documents = false,
                                           .predict_across_documents = false});
    const Batch batch = batch_of(*samples, 0, samples->count(), samples->count());
    int64_t valid = 0;
    for (size_t i = 0; i < batch.token.size(); ++i) {
      const auto token = size_t(batch.token[i]);
      const int64_t row = int64_t(i) / sequence * sequence;
      const int64_t start = batch.windows[i / size_t(sequence)] * sequence;
      ASSERT_EQ(batch.first_key[i], row + std::max<int64_t>(0, begin_of[token] - start));
      const bool counted = document_of[token] == document_of[token + 1];
      ASSERT_EQ(batch.target[i], counted ? int32_t(token) + 1 : -1);
      valid += counted;
    }
    EXPECT_EQ(batch.valid, valid);
  }
}

TEST(Samples, TooShortIsRefusedWithWhatToDo) {
  const Scratch dir;
  write_counting(dir / "d", {10, 10, 1});
  DataOptions options{
      .path = dir / "d", .validation_fraction = 0, .samples = {.sequence = 20, .vocab = kVocab}};
  EXPECT_EQ(open_data(options).training->count(), 1);
  options.samples.sequence = 21;
  EXPECT_THAT(data_error([&] { open_data(options); }),
              HasSubstr("have 21 tokens, fewer than one sequence of 21 + 1"));
  options.samples.sequence = 4;
  options.validation_fraction = 0.001;  // the shortest document has one token
  EXPECT_THAT(data_error([&] { open_data(options); }), HasSubstr("too few to predict one"));
  options.path = dir / "none";
  EXPECT_THAT(data_error([&] { open_data(options); }), HasSubstr("no dataset"));
}

TEST(Samples, AVocabularySmallerThanTheTokenizersIsRefused) {
  const Scratch dir;
  write_dataset(dir / "d", {{1, 2, 3, 6}, {4, 5, 256}}, 257);
  DataOptions options{
      .path = dir / "d", .validation_fraction = 0, .samples = {.sequence = 2, .vocab = 256}};
  EXPECT_THAT(data_error([&] { open_data(options); }), HasSubstr("token ids below 257"));
  std::filesystem::remove(dir / "d.json");  // Megatron's data: a batch finds it
  const DataSource data = open_data(options);
  EXPECT_THAT(data_error([&] { batch_of(*data.training, 0, 3, 3); }),
              HasSubstr("document 1, token 2: id 256 is outside the vocabulary of 256"));
}

TEST(RandomSamples, AreAFunctionOfTheIndex) {
  DataOptions options{.source = DataOptions::Source::random,
                      .samples = {.sequence = 50, .vocab = 11, .seed = 4}};
  const DataSource data = open_data(options);
  const Batch batch = batch_of(*data.training, 5, 40, 40);
  EXPECT_EQ(batch.token, batch_of(*data.training, 5, 40, 40).token);
  const Batch one = batch_of(*data.training, 7, 1, 1);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(one.token[i], batch.token[100 + i]);
    EXPECT_EQ(one.target[i], batch.target[100 + i]);
    if (i > 0) {
      EXPECT_EQ(one.target[i - 1], one.token[i]);
    }
  }
  // 2000 tokens of 11 kinds: 182 expected of each, standard deviation 12.9, six of them.
  std::vector<int> count(11);
  for (const int32_t id : batch.token) ++count[size_t(id)];
  for (const int n : count) EXPECT_NEAR(n, 182, 78);
  EXPECT_NE(batch.token, batch_of(*data.validation, 5, 40, 40).token);
  options.samples.seed = 5;
  EXPECT_NE(batch.token, batch_of(*open_data(options).training, 5, 40, 40).token);
}

}  // namespace
}  // namespace birkhoff::testing
