#include "engine/train/load_model.h"

#include "engine/config/load.h"

namespace birkhoff {

Config config_of(const Checkpoint& checkpoint) {
  const std::string place = printable((checkpoint.path() / kManifestName).string());
  try {
    return parse_config(checkpoint.manifest().info.config, place + " config");
  } catch (const ConfigError& e) {
    throw CheckpointError(e.what());
  }
}

void load_tensors(const Checkpoint& checkpoint, std::span<const TensorView> views) {
  for (const TensorView& view : views) checkpoint.read(view.name, view.spec, view.bytes);
}

}  // namespace birkhoff
