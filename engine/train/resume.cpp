#include "engine/train/resume.h"

#include <algorithm>
#include <sstream>

#include "base/log.h"
#include "comm/exchange.h"
#include "engine/config/field.h"
#include "engine/config/fields.h"
#include "engine/train/load_model.h"
#include "engine/train/run_tokenizer.h"

namespace birkhoff {
namespace {

// Keys that may differ on resume: they change neither the model nor what a step computes. The
// data.* keys that matter are in the data's fingerprint.
bool is_free(std::string_view key) {
  constexpr std::string_view kFree[] = {"device",
                                        "train.stop_at",
                                        "train.eval_every",
                                        "train.eval_batches",
                                        "train.final_eval_batches",
                                        "train.log_every",
                                        "train.telemetry_every",
                                        "moe.buffer_factor",
                                        "model.init_std",
                                        "model.alpha_init"};
  constexpr std::string_view kFreeSections[] = {"run.", "parallel.", "checkpoint.", "data."};
  return std::find(std::begin(kFree), std::end(kFree), key) != std::end(kFree) ||
         std::any_of(std::begin(kFreeSections), std::end(kFreeSections),
                     [&](std::string_view section) { return key.starts_with(section); });
}

ConfigChange changed(const std::string& key, const std::string& then, const std::string& now) {
  return {key, fmt::format("{} is {} in the checkpoint but {} now", key, printable(then),
                           printable(now))};
}

// Which dataset a data fingerprint is of: the fingerprint without what config keys say.
std::string dataset_of(const std::string& fingerprint) {
  constexpr std::string_view kCut[] = {"seed=", "sequence=", "validation_fraction=",
                                       "cross_documents=", "predict_across_documents="};
  std::istringstream words(fingerprint);
  std::string dataset;
  for (std::string word; words >> word;)
    if (std::none_of(std::begin(kCut), std::end(kCut),
                     [&](std::string_view start) { return word.starts_with(start); }))
      dataset += word + " ";
  return dataset;
}

std::string joined(const std::vector<ConfigChange>& changes) {
  constexpr size_t kMost = 5;
  std::string all;
  for (size_t i = 0; i < std::min(changes.size(), kMost); ++i)
    all += (i ? ", " : "") + changes[i].text;
  if (changes.size() > kMost) all += fmt::format(" and {} more", changes.size() - kMost);
  return all;
}

// How to allow exactly what was changed, besides what is allowed already.
std::string way_out(std::vector<std::string> allowed, const std::vector<ConfigChange>& refused) {
  for (const ConfigChange& change : refused) allowed.push_back(change.key);
  return fmt::format("choose another run.dir, or allow the difference: run.allow_changes=[{}]",
                     fmt::join(allowed, ","));
}

// Decides the same on every rank, since it depends on manifest and config alone.
void check_compatible(const Checkpoint& checkpoint, const Config& config, const TrainingData& data,
                      bool speak) {
  const std::string place = printable(checkpoint.path().string());
  const CheckpointInfo& info = checkpoint.manifest().info;
  const Config then = config_of(checkpoint);
  ConfigChanges changes = changes_of(then, config);
  // An imported model: no step was taken, so there are no settings or data to differ from.
  const bool trained = info.step > 0;
  if (!trained) changes.settings.clear();
  if (trained && info.data != data.fingerprint)
    changes.data = data_changes(info, then, config, data.fingerprint);
  std::vector<ConfigChange> refused, allowed;
  for (const auto* kind : {&changes.model, &changes.settings, &changes.data})
    for (const ConfigChange& change : *kind)
      (config.run.allow_changes.allows(change.key) ? allowed : refused).push_back(change);
  if (!refused.empty()) {
    const auto is_of = [&](const std::vector<ConfigChange>& kind) {
      return std::any_of(kind.begin(), kind.end(), [&](const ConfigChange& change) {
        return change.key == refused.front().key;
      });
    };
    const std::string what = joined(refused), way = way_out(config.run.allow_changes.keys, refused);
    if (is_of(changes.model))
      throw ConfigError(
          fmt::format("checkpoint {} belongs to another model: {}; {}", place, what, way));
    if (is_of(changes.settings))
      throw ConfigError(
          fmt::format("checkpoint {} was trained with other settings: {}; {}", place, what, way));
    throw DataError(
        fmt::format("checkpoint {} was trained on other data: {}; {}", place, what, way));
  }
  // Ids of another tokenizer come with another dataset, even if nothing was trained yet.
  if (const std::string change = tokenizer_change(info, data.made_by); !change.empty()) {
    if (!config.run.allow_changes.allows("data.path"))
      throw DataError(
          fmt::format("checkpoint {}: {}; prepare the data with the model's tokenizer, {}", place,
                      change, way_out(config.run.allow_changes.keys, {{"data.path", change}})));
    allowed.push_back({"data.path", change});
  }
  if (!speak) return;
  for (const ConfigChange& change : allowed) log_warning("allowed on resume: {}", change.text);
}

// Checks names and shapes before a byte is read: a checkpoint of other tensors is of another model,
// whatever its config says.
void check_tensors(const Checkpoint& checkpoint, std::span<const TensorView> tensors) {
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(
        fmt::format("checkpoint {} belongs to another model: {}; choose another run.dir",
                    printable(checkpoint.path().string()), why));
  };
  for (const TensorView& t : tensors) {
    const StoredTensor* stored = checkpoint.find(t.name);
    if (!stored) refuse(fmt::format("it has no tensor {}", t.name));
    if (stored->spec != t.spec)
      refuse(fmt::format("{} is {} in the checkpoint but {} now", t.name, to_string(stored->spec),
                         to_string(t.spec)));
  }
  if (checkpoint.manifest().tensors.size() != tensors.size())
    refuse(fmt::format("it has {} tensors, but the model has {}",
                       checkpoint.manifest().tensors.size(), tensors.size()));
}

}  // namespace

ConfigChanges changes_of(const Config& then, const Config& now) {
  ConfigChanges changes;
  Config a = then, b = now;
  const std::vector<Field> before = fields_of(a), after = fields_of(b);
  for (size_t i = 0; i < before.size(); ++i) {
    const std::string &key = before[i].key, old = value_text(before[i]);
    const std::string current = value_text(after[i]);
    if (old == current || is_free(key)) continue;
    const bool model =
        key.starts_with("model.") || (key.starts_with("moe.") && key != "moe.bias_speed");
    (model ? changes.model : changes.settings).push_back(changed(key, old, current));
  }
  return changes;
}

std::vector<ConfigChange> data_changes(const CheckpointInfo& then, const Config& config_then,
                                       const Config& now, const std::string& fingerprint_now) {
  constexpr std::string_view kCut[] = {"data.source", "data.validation_fraction",
                                       "data.cross_documents", "data.predict_across_documents"};
  std::vector<ConfigChange> changes;
  Config a = config_then, b = now;
  const std::vector<Field> before = fields_of(a), after = fields_of(b);
  for (size_t i = 0; i < before.size(); ++i) {
    const std::string& key = before[i].key;
    if (std::find(std::begin(kCut), std::end(kCut), key) == std::end(kCut)) continue;
    const std::string old = value_text(before[i]), current = value_text(after[i]);
    if (old != current) changes.push_back(changed(key, old, current));
  }
  // seed and train.sequence cut the data too, but are settings.
  if (dataset_of(then.data) != dataset_of(fingerprint_now) &&
      config_then.data.source == now.data.source)
    changes.push_back({"data.path", fmt::format("data.path has [{}] in the checkpoint but [{}] now",
                                                printable(then.data), printable(fingerprint_now))});
  return changes;
}

std::optional<Resumed> resume(const Config& config, const TrainingData& data,
                              std::span<const TensorView> tensors, Communicator& ranks,
                              Beacon& beacon) {
  const bool first = ranks.rank() == 0;
  std::vector<std::string> names;
  std::string list;
  together(ranks, [&] {
    if (!first) return;
    for (const Path& path : checkpoint_candidates(config.run.dir))
      list += path.filename().string() + "\n";
  });
  list = broadcast_text(ranks, list, 0);
  for (size_t at = 0; at < list.size();) {
    const size_t end = list.find('\n', at);
    names.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  std::string newest;
  for (const std::string& name : names) {
    const Path path = Path(config.run.dir) / "checkpoints" / name;
    std::optional<Resumed> found;
    std::string fault;
    together(ranks, [&] {  // errors other than a fault of the checkpoint are thrown on all
      try {
        const Checkpoint checkpoint = open_candidate(path);
        check_compatible(checkpoint, config, data, first);
        check_tensors(checkpoint, tensors);
        for (const TensorView& t : tensors)
          checkpoint.read(t.name, t.spec, t.bytes, [&](size_t) { beacon.tick(); });
        found = {path, checkpoint.manifest().info, checkpoint.tokenizer(),
                 checkpoint.manifest().hash};
      } catch (const CheckpointError& e) {
        fault = e.what();
      }
    });
    const std::vector<std::string> texts =
        all_gather_texts(ranks, found ? "+" + found->manifest_hash : "-" + fault);
    const auto bad = std::find_if(texts.begin(), texts.end(),
                                  [](const std::string& text) { return text[0] == '-'; });
    const bool same = std::all_of(texts.begin(), texts.end(),
                                  [&](const std::string& text) { return text == texts[0]; });
    if (bad == texts.end() && same) return found;
    const std::string why =
        bad == texts.end()
            ? fmt::format(
                  "{}: ranks read different manifests; put run.dir on a file system that all hosts "
                  "share",
                  printable(path.string()))
            : fmt::format("{}{}",
                          ranks.size() > 1 ? fmt::format("rank {}: ", bad - texts.begin()) : "",
                          bad->substr(1));
    if (newest.empty()) newest = why;
    if (first) log_warning("ignored a checkpoint that cannot be used: {}", why);
  }
  if (!names.empty())
    throw CheckpointError(
        fmt::format("{} has no complete checkpoint; the newest one fails with: {}",
                    printable(Path(config.run.dir).string()), newest));
  return std::nullopt;
}

}  // namespace birkhoff
