#include "engine/train/run_tokenizer.h"

#include "base/error.h"
#include "base/log.h"
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
  return fmt::format("its tokenizer is {}, the data's is {}", to_string(*model.tokenizer),
                     to_string(*data.identity));
}

void require_byte_tokenizer(const Checkpoint& checkpoint, const Config& config,
                            std::string_view instead) {
  const ByteTokenizer byte;
  const int64_t vocab = config.model.vocab;
  const std::string place = printable(checkpoint.path().string());
  if (vocab < byte.vocab())
    throw ConfigError(fmt::format("{}: the model's vocabulary of {} is not the byte tokenizer's {}, "
                                  "the only one that text is read and written with here; {}",
                                  place, vocab, byte.vocab(), instead));
  const auto& identity = checkpoint.manifest().info.tokenizer;
  if (identity && is_byte(*identity)) return;
  const auto may_be_byte = [&] {
    const TokenIds& eos = identity->special.eos;
    return !identity->known() && vocab == byte.vocab() &&
           (!eos.known() || eos.contains(byte.end_of_document()));
  };
  if (!identity)
    log_warning("{}: written by a version that did not note the tokenizer; taken for 'byte'", place);
  else if (may_be_byte())
    log_warning("{}: its tokenizer is not known; taken for 'byte', for its vocabulary of {}", place,
                vocab);
  else
    throw ConfigError(fmt::format("{}: the model's tokenizer is {}, and text is read and written "
                                  "with 'byte' alone here; {}",
                                  place, to_string(*identity), instead));
}

}  // namespace birkhoff
