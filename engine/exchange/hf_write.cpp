#include "engine/exchange/hf_write.h"

#include <fcntl.h>

#include <map>

#include "base/error.h"
#include "base/staged_directory.h"
#include "engine/checkpoint/safetensors.h"
#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_index.h"
#include "engine/exchange/hf_tokenizer.h"

namespace birkhoff {
namespace {

using Tensors = std::span<const HfWrite::Tensor>;

// Splits the tensors into consecutive runs, one per file.
std::vector<Tensors> shards(Tensors tensors, size_t shard_bytes) {
  std::vector<Tensors> all;
  size_t first = 0, bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t size = tensors[i].spec.bytes();
    if (i > first && bytes + size > shard_bytes) {
      all.push_back(tensors.subspan(first, i - first));
      first = i, bytes = 0;
    }
    bytes += size;
  }
  all.push_back(tensors.subspan(first));
  return all;
}

void write_shard(const Path& path, Tensors tensors, const HfWrite& model) {
  std::vector<NamedTensor> named;
  for (const HfWrite::Tensor& t : tensors) named.push_back({t.name, t.spec, {}});
  // transformers before 5 requires the name of a framework here.
  const std::string header = safetensors_header(named, {{"format", "pt"}});
  File file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  file.write(std::as_bytes(std::span(header)));
  std::vector<std::byte> bytes;
  for (const HfWrite::Tensor& t : tensors) {
    bytes.resize(t.spec.bytes());
    model.read(t, bytes);
    file.write(bytes);
  }
  file.flush();
}

}  // namespace

void write_hf(const Path& directory, const HfWrite& model) {
  check(!model.tensors.empty(), "a model without tensors");
  StagedDirectory staged(directory);
  const std::vector<Tensors> files = shards(model.tensors, model.shard_bytes);
  std::map<std::string, std::string> index;
  size_t total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string name =
        files.size() == 1 ? std::string(kHfWeightsName) : hf_file_name(i + 1, files.size());
    write_shard(staged.aside() / name, files[i], model);
    for (const HfWrite::Tensor& t : files[i]) index[t.name] = name, total += t.spec.bytes();
  }
  if (files.size() > 1) write_file(staged.aside() / kHfIndexName, hf_index_text(index, total));
  if (!model.tokenizer_json.empty())
    write_file(staged.aside() / kTokenizerName, model.tokenizer_json);
  if (!model.generation.empty()) write_file(staged.aside() / kHfGenerationName, model.generation);
  write_file(staged.aside() / kHfConfigName, model.config);
  staged.commit();
}

}  // namespace birkhoff
