#include "engine/train/saver.h"

#include "base/log.h"
#include "comm/exchange.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/config/config.h"

namespace birkhoff {

Saver::Saver(Path run_directory, int64_t keep, Communicator& ranks, Beacon& beacon,
             const std::string& proven)
    : run_directory_(std::move(run_directory)), keep_(keep), ranks_(ranks), beacon_(beacon) {
  if (!proven.empty()) proven_.insert(proven);
  if (ranks_.rank() == 0) remove_leftovers(run_directory_);
}

void Saver::save(const CheckpointInfo& info, std::span<const TensorView> tensors,
                 std::string_view tokenizer_json) {
  const Path directory = run_directory_ / "checkpoints" / checkpoint_name(info.step);
  const bool first = ranks_.rank() == 0;
  std::vector<NamedTensor> named;
  size_t bytes = tokenizer_json.size();
  for (const TensorView& t : tensors) {
    named.push_back({t.name, t.spec, t.bytes});
    bytes += t.bytes.size();
  }
  together(ranks_, [&] {
    if (!first) return;
    // A checkpoint of this step exists only if it could not be read, so that the run resumed from
    // an older one.
    if (std::filesystem::exists(std::filesystem::symlink_status(directory)))
      log_warning("{}, which was ignored on resume, is kept as {}", printable(directory.string()),
                  printable(set_refused_aside(directory).filename().string()));
    // Does not create the run directory: a missing one was moved, and the run finds out where to.
    if (!std::filesystem::is_directory(run_directory_))
      throw ResourceError(
          fmt::format("run directory {} no longer exists", printable(run_directory_.string())));
    begin_checkpoint(directory, bytes);
  });
  try {
    std::string index;
    together(ranks_, [&] {
      const auto share = share_of(whole_pieces(named), ranks_.rank(), ranks_.size());
      SaveOptions options;
      options.progress = [&](size_t) { beacon_.tick(); };
      index = index_text(write_shards(directory, info.step, ranks_.rank(), share, options));
    });
    const std::vector<std::string> indices = all_gather_texts(ranks_, index);
    together(ranks_, [&] {
      if (!first) return;
      std::vector<ShardIndex> parsed;
      for (const std::string& text : indices) parsed.push_back(parse_index(text));
      proven_.insert(commit_checkpoint(directory, info, parsed, tokenizer_json));
    });
  } catch (const ResourceError&) {
    if (first) abandon_checkpoint(directory);
    throw;
  }
  if (first && keep_ != kKeepAll) try {
      prune_checkpoints(run_directory_, keep_, proven_);
    } catch (const ResourceError& e) {  // what is saved is saved
      log_warning("{}", e.what());
    }
}

}  // namespace birkhoff
