#include "engine/train/import_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/staged_directory.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/choices.h"
#include "engine/config/load.h"
#include "engine/train/import_source.h"
#include "engine/train/loop_state.h"
#include "engine/train/resume.h"
#include "engine/train/training_data.h"

namespace birkhoff {
namespace {

// A tensor of the checkpoint: one of the model, or a moment, which is zero.
struct Item {
  std::string name;
  const ModelTensor* of = nullptr;
  bool is_moment = false;
  TensorSpec spec() const { return {of->part.shape, DType::f32}; }
};

bool gains_streams(const Config& source, const Config& target) {
  return source.model.residual == ResidualKind::plain &&
         target.model.residual != ResidualKind::plain;
}

// Throws if the target would be another function than the source.
void check_function(const Config& source, const Config& target) {
  const ModelConfig& m = target.model;
  Config like = source;
  if (gains_streams(source, target)) {
    if (m.readout != ReadoutKind::mean)
      throw ConfigError(
          fmt::format("model.readout is {}: only the mean of the streams gives the same function "
                      "as the plain model; leave it out, or set mean",
                      name(m.readout)));
    if (m.residual == ResidualKind::mhc && m.sinkhorn != SinkhornKind::paper)
      throw ConfigError(
          "model.sinkhorn is v4: its eps keep rows of H_res from summing to 1, so the imported "
          "model would not be the same function; set paper");
    if (m.residual == ResidualKind::mhc && m.streams < 2)
      throw ConfigError(
          "model.streams is 1: the weight of a single stream cannot reach 1; set 2 or more");
    like.model.residual = m.residual, like.model.streams = m.streams;
    like.model.sinkhorn = m.sinkhorn, like.model.sinkhorn_iterations = m.sinkhorn_iterations;
    like.model.readout = m.readout, like.model.hc = m.hc;
  } else if (m.residual != source.model.residual) {
    throw ConfigError(
        fmt::format("model.residual is {} in the source but {} here, which is not the same "
                    "function; only a plain model can change its residual, by gaining streams",
                    name(source.model.residual), name(m.residual)));
  }
  const std::vector<ConfigChange> changes = changes_of(like, target).model;
  if (!changes.empty())
    throw ConfigError(
        fmt::format("{}: the imported model would not be the same function; leave it out",
                    changes.front().text));
}

class Writer {
 public:
  Writer(const ImportSource& source, const Config& config, const ImportOptions& options)
      : source_(source), config_(config), options_(options), target_(model_tensors(config)) {
    for (const ModelTensor& t : model_tensors(source.config())) in_source_.insert(t.part.name);
    size_t largest = 0;
    for (const ModelTensor& t : target_) {
      items_.push_back({t.part.name, &t, false});
      if (!t.is_trained) continue;
      parameters_ += count(t.part.shape);
      largest = std::max(largest, items_.back().spec().bytes());
      items_.push_back({"adam_m." + t.part.name, &t, true});
      items_.push_back({"adam_v." + t.part.name, &t, true});
    }
    zeros_ = Buffer(largest);  // pages that are only read cost nothing
    std::sort(items_.begin(), items_.end(),
              [](const Item& a, const Item& b) { return a.name < b.name; });
  }

  int64_t parameters() const { return parameters_; }

  // Writes batch by batch, each under a rank's number, which is the format's way to share a
  // checkpoint.
  void write(const Path& checkpoint) {
    const size_t bytes = bytes_of(items_.begin(), items_.end());
    begin_checkpoint(checkpoint, bytes);
    std::vector<ShardIndex> indices;
    size_t done = 0;
    for (auto at = items_.begin(); at != items_.end();) {
      const auto first = at;
      indices.push_back(write_batch(checkpoint, int(indices.size()), at));
      options_.progress(done += bytes_of(first, at), bytes);
    }
    commit_checkpoint(checkpoint,
                      {.step = 0,
                       .tokens = 0,
                       .seed = config_.seed,
                       .model = model_fingerprint(config_),
                       .data = "",  // none yet
                       .tokenizer = source_.tokenizer().identity,
                       .config = effective_yaml(config_),
                       .state = to_text(LoopState())},
                      indices, source_.tokenizer().json);
  }

 private:
  using Items = std::vector<Item>;
  static size_t bytes_of(Items::const_iterator from, Items::const_iterator to) {
    return std::accumulate(from, to, size_t(0),
                           [](size_t sum, const Item& item) { return sum + item.spec().bytes(); });
  }

  ShardIndex write_batch(const Path& checkpoint, int rank, Items::iterator& at) {
    std::vector<std::vector<float>> values;  // keeps what pieces point to
    std::vector<Piece> pieces;
    size_t held = 0;
    for (; at != items_.end(); ++at) {
      const TensorSpec spec = at->spec();
      std::span<const std::byte> bytes(zeros_.data(), spec.bytes());
      if (!at->is_moment) {
        if (held > 0 && held + spec.bytes() > options_.batch_bytes) break;
        held += spec.bytes();
        values.emplace_back(size_t(spec.count()));
        fill(*at->of, values.back());
        bytes = std::as_bytes(std::span(values.back()));
      }
      pieces.push_back({at->name, spec, whole_slice(spec.shape), bytes});
    }
    return write_shards(checkpoint, 0, rank, pieces);
  }

  // Reads the values from the source. Parameters of a residual that the source does not have start
  // as in a fresh model, except for the weights by which mhc reads its equal residual streams: they
  // sum to 1.
  void fill(const ModelTensor& tensor, std::span<float> values) const {
    if (in_source_.contains(tensor.part.name)) return source_.read(tensor, values);
    Part part = tensor.part;
    if (config_.model.residual == ResidualKind::mhc && part.name.ends_with(".b_pre"))
      part.init.peak = home_logit(config_.model.streams, part.init.value);
    initialise(part, config_.seed, values);
  }

  const ImportSource& source_;
  const Config& config_;
  const ImportOptions& options_;
  const std::vector<ModelTensor> target_;
  std::set<std::string> in_source_;
  Items items_;  // ascending by name
  Buffer zeros_;
  int64_t parameters_ = 0;
};

}  // namespace

double home_logit(int64_t n, double away) {
  const double home = 1 - double(n - 1) / (1 + std::exp(-away));
  check(n >= 2 && home > 0, "{} streams of which all but one have logit {}", n, away);
  return std::log(home / (1 - home));
}

Config import_config(const Config& source, const ImportOptions& o) {
  Config base = source;
  base.run.dir = o.out.string();
  base.run.resume = Resume::automatic;
  base.run.allow_changes = {};
  base.train.stop_at = 0;  // concerned the source's run
  std::vector<std::string> overrides = o.overrides;
  if (o.residual)
    overrides.push_back(fmt::format("model.residual={}", name(*o.residual)));  // the last wins
  const auto parse = [&] {
    return parse_config(effective_yaml(base), printable(o.source.string()) + " as YAML", overrides);
  };
  Config config = parse();
  if (gains_streams(source, config)) {
    base.model.readout = ReadoutKind::mean;
    config = parse();
  }
  if (config.run.dir != base.run.dir) throw ConfigError("run.dir: is set by --out; leave it out");
  check_function(source, config);
  return config;
}

Imported import_model(const ImportOptions& o) {
  const std::unique_ptr<ImportSource> source = open_import_source(o.source);
  Imported imported{.checkpoint = o.out / "checkpoints" / checkpoint_name(0),
                    .config = import_config(source->config(), o)};
  check_tensors(*source);
  Writer writer(*source, imported.config, o);
  imported.parameters = writer.parameters();
  imported.passed_over = source->passed_over();
  StagedDirectory staged(o.out);
  writer.write(staged.aside() / "checkpoints" / checkpoint_name(0));
  write_file(staged.aside() / "config.yaml", effective_yaml(imported.config));
  if (const std::string& json = source->tokenizer().json; !json.empty())
    write_file(staged.aside() / kTokenizerName, json);
  staged.commit();
  return imported;
}

}  // namespace birkhoff
