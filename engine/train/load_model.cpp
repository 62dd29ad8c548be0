#include "engine/train/load_model.h"

#include <map>

#include "engine/config/load.h"
#include "engine/train/model_tensors.h"

namespace birkhoff {
namespace {

// Empty, or why the manifest's tensors are not those of the config's model.
std::string model_fault(const Manifest& manifest, const Config& config) {
  if (const int64_t least = fewest_tensors(config); least > int64_t(manifest.tensors.size()))
    return fmt::format("its config describes a model of {} tensors or more, but it has {}", least,
                       manifest.tensors.size());
  std::map<std::string, TensorSpec> wanted;
  for (const ModelTensor& t : model_tensors(config))
    wanted[t.part.name] = {t.part.shape, DType::f32};
  size_t found = 0;
  for (const StoredTensor& t : manifest.tensors) {
    const bool moment = t.name.starts_with("adam_m.") || t.name.starts_with("adam_v.");
    const auto own = wanted.find(moment ? t.name.substr(7) : t.name);
    if (own == wanted.end())
      return fmt::format("it has {}, which the model of its config does not have", t.name);
    if (own->second != t.spec)
      return fmt::format("{} is {}, but its config needs {}", t.name, to_string(t.spec),
                         to_string(own->second));
    found += !moment;
  }
  // Names of a manifest are unique.
  if (found != wanted.size())
    return fmt::format("it has only {} of the {} tensors of the model of its config", found,
                       wanted.size());
  return {};
}

}  // namespace

Config config_of(const Checkpoint& checkpoint) {
  const std::string place = printable((checkpoint.path() / kManifestName).string());
  Config config;
  try {
    config = parse_config(checkpoint.manifest().info.config, place + " config");
  } catch (const ConfigError& e) {
    throw CheckpointError(e.what());
  }
  if (const std::string fault = model_fault(checkpoint.manifest(), config); !fault.empty())
    throw CheckpointError(fmt::format(
        "{}: {}; its config and its tensors belong to different models", place, printable(fault)));
  return config;
}

void load_tensors(const Checkpoint& checkpoint, std::span<const TensorView> views) {
  for (const TensorView& view : views) checkpoint.read(view.name, view.spec, view.bytes);
}

}  // namespace birkhoff
