#include "engine/train/run_tokenizer.h"

#include "base/error.h"
#include "engine/data/tokenizer.h"

namespace birkhoff {

ModelTokenizer run_tokenizer(const ModelTokenizer& model, const ModelTokenizer& data) {
  if (!model.identity) return data;
  if (!data.identity || !data.identity->known()) return model;
  if (differ(*model.identity, *data.identity)) return data;
  ModelTokenizer run = data;
  if (model.identity->has_file() && !data.identity->has_file()) run = model;
  const SpecialTokens &of_model = model.identity->special, &of_data = data.identity->special;
  const bool ends_alike =
      !of_data.eos.ids.empty() && of_model.eos.contains(of_data.eos.ids.front());
  run.identity->special = model.identity->known() || ends_alike ? of_model : of_data;
  if (!ends_alike) run.identity->special.eos = of_data.eos;
  return run;
}

std::string tokenizer_change(const CheckpointInfo& model, const ModelTokenizer& data) {
  if (!model.tokenizer || !data.identity || !differ(*model.tokenizer, *data.identity)) return {};
  return fmt::format("its tokenizer is {}, but the data's is {}", to_string(*model.tokenizer),
                     to_string(*data.identity));
}

std::string require_byte_tokenizer(const Checkpoint& checkpoint, const Config& config,
                                   std::string_view instead) {
  const ByteTokenizer byte;
  const auto& identity = checkpoint.manifest().info.tokenizer;
  const int64_t vocab = config.model.vocab;
  const std::string place = printable(checkpoint.path().string());
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(
        fmt::format("{}: {}, but text can only be read and written with the tokenizer 'byte'; {}",
                    place, why, instead));
  };
  if (identity && identity->known() && !is_byte(*identity))
    refuse(fmt::format("the model's tokenizer is {}", to_string(*identity)));
  if (vocab < byte.vocab())
    refuse(fmt::format("the model's vocabulary of {} is smaller than the byte tokenizer's {}",
                       vocab, byte.vocab()));
  if (!identity)
    return fmt::format(
        "{}: written by a version that did not record the tokenizer; assuming 'byte'", place);
  if (identity->known()) return {};
  const TokenIds& eos = identity->special.eos;
  if (vocab != byte.vocab() || (eos.known() && !eos.contains(byte.end_of_document())))
    refuse("the model's tokenizer is unknown");
  return fmt::format(
      "{}: its tokenizer is unknown; assuming 'byte', because of its vocabulary of {}", place,
      vocab);
}

}  // namespace birkhoff
