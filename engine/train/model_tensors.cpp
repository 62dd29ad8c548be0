#include "engine/train/model_tensors.h"

#include <algorithm>

#include "engine/model/model.h"

namespace birkhoff {

std::vector<ModelTensor> model_tensors(const Config& config) {
  Program p;
  trace_scoring(p, config, 1, 1);
  std::vector<ModelTensor> all;
  for (const auto& [id, spec] : p.parameters)
    for (const Part& part : parts_of(spec)) all.push_back({part, true});
  for (const Slot& slot : p.slots)
    if (slot.kind == Kind::state) all.push_back({{slot.name, slot.spec.shape, Init()}, false});
  std::sort(all.begin(), all.end(),
            [](const ModelTensor& a, const ModelTensor& b) { return a.part.name < b.part.name; });
  return all;
}

}  // namespace birkhoff
